import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { BenchmarkReport } from '../../src/cli/benchmark/contract.ts'
import { runDrover } from '../support/drover.ts'

/*
 * A server that breaks down in the middle of a benchmark; one that works is measured in `multigpu.test.ts`.
 */

let folder = ''
let server: Server
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-benchmark-'))
})
afterEach(async () => {
  server.close()
  await rm(folder, { recursive: true, force: true })
})

/** Speaks OpenAI's API; with the answer number `last` it is gone, with all its connections. */
async function startServer(last: number): Promise<string> {
  let answers = 0
  server = createServer((request, response) => {
    if (request.url === '/v1/models') return response.end('{"object":"list","data":[{"id":"m"}]}')
    if (request.url !== '/v1/completions') return response.writeHead(404).end('not found')
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"choices":[{"text":"x"}]}\n\n')
    if (++answers === last) {
      server.close()
      return server.closeAllConnections()
    }
    response.end(
      'data: {"choices":[{"text":"y"}],"usage":{"prompt_tokens":9,"completion_tokens":2}}\n\ndata: [DONE]\n\n',
    )
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}

const bench = (url: string, ...args: string[]) =>
  runDrover(['benchmark', 'm', '--url', url, '--requests', '4', '--warmup', '1', ...args], {
    HOME: folder,
    DROVER_HOME: folder,
  })

it('prints and keeps what was measured until then, and says what is missing', async () => {
  // One to calibrate, five of the first load, one to warm up the second, and three of that.
  const url = await startServer(10)
  const [saved, svg] = [join(folder, 'run.json'), join(folder, 'run.svg')]
  const { code, stdout, stderr } = await bench(url, '--batch-sizes', '1,2,4', '--save', saved, '--svg', svg)
  expect(code, stderr).toBe(1)
  expect(stdout).toMatch(/^1 at once .* 0 of 4 /m)
  expect(stdout).toMatch(/^2 at once .* [123] of [234] /m)
  expect(stdout).toMatch(/^! 2 at once: \d x the connection broke off$/m)
  expect(stdout).toMatch(/^! m at http:\S+: http:\S+ no longer answers: /m)
  expect(stdout).not.toContain('4 at once')
  expect(stderr).toMatch(/^Error: not all was measured: http:\S+ no longer answers: /m)
  const report = JSON.parse(await readFile(saved, 'utf8')) as BenchmarkReport
  expect(report.rows.map(({ errors }) => errors > 0)).toEqual([false, true])
  expect(await readFile(svg, 'utf8')).toContain('TTFT, 1 at once')
})
