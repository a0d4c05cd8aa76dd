/** Runs the benchmarks that take minutes, one after the other; the soak runs by itself (`node bench/soak.ts`). */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

for (const name of ['start', 'store', 'prefix-index', 'gateway', 'engines', 'devices', 'routing']) {
  const file = fileURLToPath(new URL(`${name}.ts`, import.meta.url))
  if (!existsSync(file)) continue
  console.log(`\n== ${name}\n`)
  const { status } = spawnSync(process.execPath, [file], { stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
