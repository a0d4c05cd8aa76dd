import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { descendants, until, withoutSettings } from './drover.ts'
import type { TestHost } from './hosts.ts'
import { ensureLlamaServer } from './llama-server.ts'

const program = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

/** A `drover rpc-worker` that runs on a host. */
export interface TestRpcWorker {
  /** As `rpcWorkers` has it. */
  address: string
  home: string
  output(): string
  /** The processes of llama.cpp's worker that it has started, newest last. */
  workers(): Promise<number[]>
  /** It stands still, and its connections stay open, as when a cable is pulled. */
  freeze(): void
  /** SIGKILL to it and all that it runs, as when the machine's power goes. */
  crash(): Promise<void>
  stop(): Promise<number | null>
}

/** Starts one on port 50052 of the host and waits until it lends. */
export async function startRpcWorkerOn(
  host: TestHost,
  options: { folder: string; keyFile: string; memory?: string },
): Promise<TestRpcWorker> {
  const address = `${host.address}:50052`
  const home = join(options.folder, host.address)
  await mkdir(home, { recursive: true })
  const limit = options.memory === undefined ? [] : ['--memory', options.memory]
  const flags = ['--listen', address, '--key-file', options.keyFile, '--threads', '1', ...limit]
  const [file = '', ...args] = host.on([process.execPath, program, 'rpc-worker', ...flags])
  const child: ChildProcess = spawn(file, args, {
    env: {
      ...withoutSettings(process.env),
      HOME: home,
      DROVER_HOME: home,
      DROVER_LLAMA_SERVER: await ensureLlamaServer(),
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  let code: number | null | undefined
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (exitCode) => {
      code = exitCode
      resolve(exitCode)
    })
  })
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data) => {
      output += data
    })
  }
  await until(`a worker lends on ${address}`, 90_000, () => {
    if (code !== undefined) throw new Error(`drover rpc-worker ended with ${code}:\n${output}`)
    return output.includes(`Lending on ${address}`)
  })
  return {
    address,
    home,
    output: () => output,
    workers: async () => {
      const started = [...output.matchAll(/worker (\d+) runs/g)].map(([, pid]) => Number(pid))
      const running = await descendants(child.pid ?? 0)
      return started.filter((pid) => running.includes(pid))
    },
    freeze: () => {
      child.kill('SIGSTOP')
    },
    crash: async () => {
      child.kill('SIGKILL')
      await exited
    },
    stop: () => {
      // One that stands still could not end.
      child.kill('SIGCONT')
      child.kill('SIGTERM')
      return exited
    },
  }
}
