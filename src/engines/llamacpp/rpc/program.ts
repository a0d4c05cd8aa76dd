import { execFile } from 'node:child_process'
import { realpath } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { DroverError } from '../../../inference/index.ts'
import { findServer } from '../probe.ts'

const probeTimeoutMs = 15_000
/** Newer builds have the first. */
const programNames = ['ggml-rpc-server', 'rpc-server']

/** llama.cpp's RPC worker as it is on this machine. */
export interface RpcProgram {
  path: string
  /** Of the `llama-server` beside it, which was built with it. */
  version: string
  /** Every short flag that its help names. */
  flags: ReadonlySet<string>
}

/**
 * Finds the worker beside the `llama-server` that Drover would take. Throws `engine_unavailable` where there is no
 * server, or none with a worker beside it.
 */
export async function findRpcProgram(options: {
  serverPath?: string
  enginesDir: string
}): Promise<RpcProgram> {
  const server = await findServer(options)
  if (!('version' in server)) throw new DroverError('engine_unavailable', server.reason)
  const folders = [dirname(server.path), dirname(await realpath(server.path))]
  const tried: string[] = []
  for (const path of new Set(folders.flatMap((folder) => programNames.map((name) => join(folder, name))))) {
    const help = await helpOf(path)
    if (help !== undefined) return { path, version: server.version, flags: flagsOf(help) }
    tried.push(path)
  }
  throw new DroverError(
    'engine_unavailable',
    `llama.cpp's RPC worker is not beside ${server.path} (looked for ${tried.join(', ')}). ` +
      'Install llama.cpp with it by `drover engine install llama.cpp`, or build it with GGML_RPC=ON',
  )
}

/** Undefined where there is no such program; one that cannot start throws. */
function helpOf(path: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const options = { timeout: probeTimeoutMs, killSignal: 'SIGKILL' } as const
    execFile(path, ['--help'], options, (error, stdout, stderr) => {
      const text = `${stdout}\n${stderr}`
      if (error?.code === 'ENOENT') resolve(undefined)
      else if (/--port\b/.test(text)) resolve(text)
      else
        reject(
          new DroverError(
            'engine_unavailable',
            `${path} --help: ${error?.message ?? 'says nothing of a port'}`,
          ),
        )
    })
  })
}

/** `-m`, `-c`, `-d`: the lines of the help begin with them. */
export function flagsOf(help: string): ReadonlySet<string> {
  return new Set([...help.matchAll(/^\s+(-[a-zA-Z])\b/gm)].map(([, flag = '']) => flag))
}
