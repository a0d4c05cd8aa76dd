import { mkdir, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../../inference/index.ts'
import type { EngineDevice } from '../../contract.ts'
import { defaultThreads, spawnGuarded } from '../../process/index.ts'
import { freePort } from '../free-port.ts'
import { createLog, type Log } from '../log.ts'
import { parseDevices } from '../probe.ts'
import { askProtocol } from './hello.ts'
import type { RpcProgram } from './program.ts'

/** Cards take a while to be opened. */
const startTimeoutMs = 60_000
const helloTimeoutMs = 2_000
const pollMs = 25
const terminateGraceMs = 2_000

/** How a worker is to be started. */
export interface RpcWorkerOptions {
  /** As `llama-server --list-devices` names them; absent: all GPUs, or the CPU where there is none. */
  devices?: readonly string[]
  /**
   * Most memory that it may take, host memory for the CPU. Told to the worker where its help has `-m`; else held by the
   * system, which can do so for host memory on Linux only.
   */
  memoryBytes?: number
  threads?: number
  /** Where weights are kept from one load to the next, so that they come over the network once. */
  cacheDir?: string
  env?: Readonly<Record<string, string>>
}

/** A worker that answers; it serves one engine process. */
export interface RpcWorker {
  readonly pid: number
  /** On 127.0.0.1. */
  readonly port: number
  /** `8.0.0`. */
  readonly protocol: string
  readonly devices: readonly EngineDevice[]
  /** The reason, in its own words where it has some; never rejects. */
  readonly exited: Promise<string>
  /** Bytes of memory that it holds now; 0 where the system does not say. */
  heldBytes(): Promise<number>
  close(): Promise<void>
}

/**
 * Starts a worker on a free port of 127.0.0.1, under a guardian, and waits until it speaks the protocol. The protocol
 * knows no password: nothing but this machine may reach it. Throws `engine_failed` with its last words.
 */
export async function startRpcWorker(program: RpcProgram, options: RpcWorkerOptions): Promise<RpcWorker> {
  const port = await freePort()
  if (options.cacheDir !== undefined) await mkdir(options.cacheDir, { recursive: true, mode: 0o700 })
  const { file, args } = workerLine(program, port, options)
  const log = createLog()
  const child = spawnGuarded({
    file,
    args,
    env: {
      ...process.env,
      GGML_NO_BACKTRACE: '1',
      ...(options.cacheDir !== undefined && { LLAMA_CACHE: options.cacheDir }),
      ...options.env,
    },
    removePaths: [],
    onOutput: (chunk) => log.append(chunk),
  })
  let ended = false
  const exited = child.exited.then(({ code, signal }) => {
    ended = true
    const how = signal ? `signal ${signal}` : `exit code ${code}`
    const words = lastWords(log.text())
    return words === undefined || signal === 'SIGKILL' ? how : `${words} (${how})`
  })
  const protocol = await untilItAnswers(port, () => ended)
  if (protocol === undefined) {
    await child.terminate(0)
    throw new DroverError('engine_failed', `llama.cpp's RPC worker did not start: ${await exited}`)
  }
  const devices = await listedDevices(log)
  if (options.memoryBytes !== undefined && !canLimit(program, devices)) {
    await child.terminate(0)
    throw new DroverError(
      'unsupported',
      `this build of llama.cpp's RPC worker cannot limit the memory of ${devices.map(({ name }) => name).join(', ')}: ` +
        'give no limit, or divide the model so that it fits',
    )
  }
  return {
    pid: child.pid,
    port,
    protocol,
    devices,
    exited,
    heldBytes: () => heldBy(child.pid),
    close: async () => {
      await child.terminate(terminateGraceMs)
      await exited
    },
  }
}

/** They are printed before the first connection is taken, and may be read a moment later. */
async function listedDevices(log: Log): Promise<EngineDevice[]> {
  const endsAtMs = performance.now() + helloTimeoutMs
  for (;;) {
    const devices = parseDevices(log.text())
    if (devices.length > 0 || performance.now() > endsAtMs) return devices
    await sleep(pollMs)
  }
}

/** Newer builds take no limit, and the system knows one for host memory only. */
function canLimit(program: RpcProgram, devices: readonly EngineDevice[]): boolean {
  if (program.flags.has('-m')) return true
  return process.platform === 'linux' && devices.every(({ name }) => name === 'CPU')
}

/** The command of a worker. `ulimit` counts what a process asks for, before it touches it. */
export function workerLine(
  program: RpcProgram,
  port: number,
  { devices, memoryBytes, threads, cacheDir }: RpcWorkerOptions,
): { file: string; args: string[] } {
  const args = ['-H', '127.0.0.1', '-p', String(port)]
  const optional = (flag: string, ...values: string[]) => {
    if (program.flags.has(flag)) args.push(flag, ...values)
  }
  optional('-t', String(threads ?? defaultThreads()))
  if (devices?.length) args.push('-d', devices.join(','))
  if (cacheDir !== undefined) optional('-c')
  if (memoryBytes === undefined) return { file: program.path, args }
  if (program.flags.has('-m')) {
    const count = Math.max(1, devices?.length ?? 1)
    const mib = Math.floor(memoryBytes / count / 2 ** 20)
    return { file: program.path, args: [...args, '-m', Array.from({ length: count }, () => mib).join(',')] }
  }
  const kib = String(Math.floor(memoryBytes / 1024))
  return { file: '/bin/sh', args: ['-c', `ulimit -d ${kib} && exec "$0" "$@"`, program.path, ...args] }
}

async function untilItAnswers(port: number, hasEnded: () => boolean): Promise<string | undefined> {
  const endsAtMs = performance.now() + startTimeoutMs
  while (!hasEnded() && performance.now() < endsAtMs) {
    try {
      return await askProtocol(port, helloTimeoutMs)
    } catch {
      // Not yet: it listens once its devices are open.
      await sleep(pollMs)
    }
  }
  return undefined
}

const aboutFailure = /error|fail|abort|assert|unable|cannot|invalid|unknown/i

function lastWords(log: string): string | undefined {
  const lines = log.split('\n').map((line) => line.trim())
  // That the system's folder of back-ends is missing is no failure.
  const telling = lines.filter(
    (line) => aboutFailure.test(line) && !/failed to enumerate|recv returned/.test(line),
  )
  return telling.at(-1)?.slice(0, 300)
}

async function heldBy(pid: number): Promise<number> {
  if (process.platform !== 'linux') return 0
  try {
    return Number(/^VmData:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) * 1024
  } catch {
    // It has just ended, and holds nothing.
    return 0
  }
}
