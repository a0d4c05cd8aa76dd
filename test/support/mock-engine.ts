import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { MockStats } from '../../src/simulation/mock-engine/index.ts'
import { withoutSettings } from './drover.ts'

const program = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

/** A `drover mock-engine` that runs as its own process. */
export interface MockProcess {
  url: string
  process: ChildProcess
  pid: number
  exited: Promise<number | null>
  /** SIGTERM, and the exit code it ends with. */
  stop(): Promise<number | null>
  post(path: string, body: unknown, signal?: AbortSignal): Promise<Response>
  /** Switches a fault on; throws where it is refused. */
  fault(fault: object): Promise<void>
  clearFaults(): Promise<void>
  stats(): Promise<MockStats>
}

/** Starts one on a free port and waits until it says where it listens. */
export async function startMockEngine(...args: string[]): Promise<MockProcess> {
  const child = spawn(process.execPath, [program, 'mock-engine', '--port', '0', ...args], {
    env: withoutSettings(process.env),
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = new Promise<number | null>((resolve) => child.once('exit', resolve))
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer) => {
      output += data
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0]
      if (address) resolve(address)
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    exited.then((code) => reject(new Error(`the mock engine ended with ${code}:\n${output}`)))
  })
  const post = (path: string, body: unknown, signal?: AbortSignal) =>
    fetch(url + path, { method: 'POST', body: JSON.stringify(body), ...(signal && { signal }) })
  return {
    url,
    process: child,
    pid: child.pid ?? 0,
    exited,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
    post,
    async fault(fault) {
      const response = await post('/mock/faults', fault)
      if (!response.ok) throw new Error(await response.text())
    },
    async clearFaults() {
      await fetch(`${url}/mock/faults`, { method: 'DELETE' })
    },
    stats: async () => (await fetch(`${url}/mock/stats`)).json() as Promise<MockStats>,
  }
}
