/**
 * Asks a server, Drover or a real Ollama, row by row what Ollama's API says, and prints what differs.
 *
 *   npm run conformance -- --url http://127.0.0.1:11434 [--only PATTERN] [--json]
 *
 * It makes models below `conformance/` and removes them at the end. Exit status 1 where anything differs.
 */
import { parseArgs } from 'node:util'
import { makeModels, removeModels } from './models.ts'
import { rows } from './rows/index.ts'
import { connectTo } from './server.ts'

const { values: flags } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:11434' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
})

const server = connectTo(flags.url)
const pattern = new RegExp(flags.only, 'i')
const results: { row: string; difference?: string }[] = []
await makeModels(server)
try {
  for (const { id, check } of rows.filter((row) => pattern.test(row.id))) {
    const difference = await check(server).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    )
    results.push({ row: id, ...(difference !== undefined && { difference }) })
    if (!flags.json)
      console.log(difference === undefined ? `pass  ${id}` : `DIFF  ${id}\n      ${difference}`)
  }
} finally {
  await removeModels(server)
}
const passed = results.filter(({ difference }) => difference === undefined).length
if (flags.json)
  console.log(JSON.stringify({ url: flags.url, rows: results.length, passed, results }, null, 2))
else
  console.log(
    `\n${passed} of ${results.length} rows as in the reference (${((100 * passed) / results.length).toFixed(1)} %)`,
  )
process.exitCode = passed === results.length ? 0 : 1
