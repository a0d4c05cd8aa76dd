import { execFile } from 'node:child_process'
import { delimiter, join } from 'node:path'
import type { EngineDevice } from '../contract.ts'
import { installedServerPath } from '../install/index.ts'

const probeTimeoutMs = 15_000

/** What a `llama-server` said about itself. */
export interface ServerFacts {
  path: string
  version: string
  /** Every flag that `--help` names, short ones too. */
  flags: ReadonlySet<string>
  devices: EngineDevice[]
  /** `--flash-attn on|off|auto`; older versions have a switch. */
  flashAttentionTakesValue: boolean
  /** `--n-gpu-layers auto` is understood. */
  gpuLayersTakesAuto: boolean
  /** Several `--lora` are joined by commas, not repeated. */
  adaptersByComma: boolean
  /** `--host` takes a path ending in `.sock`. */
  unixSockets: boolean
  /** `--split-mode` takes `tensor`. */
  splitsTensors: boolean
  /** `--spec-type` has to name `draft-simple` before a draft model is used. */
  draftTypeNamed: boolean
  /** The API key is read from `LLAMA_API_KEY`. */
  apiKeyFromEnvironment: boolean
}

/**
 * Looks for a working `llama-server`: the configured path alone where there is one, else PATH, else Drover's own
 * folder. Returns the facts, or why each candidate was turned down.
 */
export async function findServer(options: {
  serverPath?: string | undefined
  enginesDir: string
}): Promise<ServerFacts | { reason: string }> {
  const candidates = options.serverPath ? [options.serverPath] : searchPath(options.enginesDir)
  const failures: string[] = []
  for (const path of candidates) {
    const facts = await probeServer(path)
    if ('version' in facts) return facts
    if (!facts.missing || options.serverPath) failures.push(`${path}: ${facts.reason}`)
  }
  const advice = options.serverPath
    ? 'Correct the configured path, or remove it to let Drover look for itself.'
    : 'Install it with `drover engine install llama.cpp`, or put llama-server on the PATH.'
  const found = failures.length
    ? failures.join('; ')
    : 'no llama-server on the PATH or among the installed engines'
  return { reason: `${found}. ${advice}` }
}

function searchPath(enginesDir: string): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean)
  return [...folders.map((folder) => join(folder, 'llama-server')), installedServerPath(enginesDir)]
}

async function probeServer(path: string): Promise<ServerFacts | { reason: string; missing: boolean }> {
  try {
    const [versionText, helpText] = await Promise.all([
      askServer(path, ['--version']),
      askServer(path, ['--help']),
    ])
    const version = parseVersion(versionText)
    if (!version) return { reason: '--version names no version of llama.cpp', missing: false }
    const help = parseHelp(helpText)
    const devices = help.flags.has('--list-devices')
      ? parseDevices(await askServer(path, ['--list-devices']))
      : []
    return { path, version, devices, ...help }
  } catch (error) {
    const missing = (error as NodeJS.ErrnoException).code === 'ENOENT'
    return { reason: error instanceof Error ? error.message : String(error), missing }
  }
}

/** Runs the program with some flags; its stdout and stderr together. */
export function askServer(path: string, args: readonly string[], env = process.env): Promise<string> {
  const flag = args.at(-1)
  return new Promise((resolve, reject) => {
    const options = {
      timeout: probeTimeoutMs,
      killSignal: 'SIGKILL',
      maxBuffer: 8 * 1024 * 1024,
      env,
    } as const
    execFile(path, args, options, (error, stdout, stderr) => {
      if (!error) resolve(`${stdout}\n${stderr}`)
      else if (error.killed) reject(new Error(`${flag} gave no answer within ${probeTimeoutMs / 1000} s`))
      else if (typeof error.code === 'string') reject(error)
      else reject(new Error(`${flag} failed: ${stderr.trim().split('\n').at(-1) || error.message}`))
    })
  })
}

export function parseVersion(output: string): string | undefined {
  return /^version: *(\S+)/m.exec(output)?.[1]
}

/** Reads `--help`: entries begin at the line's start with their flags, explanations are indented. */
export function parseHelp(help: string): Omit<ServerFacts, 'path' | 'version' | 'devices'> {
  const entries = help.split(/\n(?=-)/).filter((entry) => entry.startsWith('-'))
  const flags = new Set<string>()
  for (const entry of entries) {
    // The flags end where two spaces begin the explanation (after the padding of a short flag) or the line ends.
    const firstLine = entry.slice(0, entry.indexOf('\n') === -1 ? undefined : entry.indexOf('\n'))
    const names = firstLine.replace(/,\s+/g, ',').split(/\s{2,}/)[0] ?? ''
    for (const [flag] of names.matchAll(/(?<![\w-])--?[a-zA-Z][\w-]*/g)) flags.add(flag)
  }
  const entry = (flag: string) =>
    entries.find((text) => new RegExp(`(^|[\\s,])${flag}[\\s,]`).test(text)) ?? ''
  return {
    flags,
    flashAttentionTakesValue: /\bauto\b/.test(entry('--flash-attn')),
    gpuLayersTakesAuto: /'auto'/.test(entry('--n-gpu-layers')),
    adaptersByComma: /comma-separated/.test(entry('--lora')),
    splitsTensors: /\{[^}]*\btensor\b/.test(entry('--split-mode')),
    draftTypeNamed: /draft-simple/.test(entry('--spec-type')),
    unixSockets: /unix socket/i.test(entry('--host')),
    apiKeyFromEnvironment: entry('--api-key').includes('LLAMA_API_KEY'),
  }
}

/**
 * `CUDA0: NAME (TOTAL MiB, FREE MiB free)`; devices of RPC workers are `RPC0`, in older versions `RPC[host:port]`. A
 * worker itself lists its `CPU` too.
 */
export function parseDevices(output: string): EngineDevice[] {
  const line = /^\s*([A-Za-z]+\d+|CPU|RPC\[[^\]]+\]): (.*) \((\d+) MiB, (\d+) MiB free\)\s*$/gm
  return [...output.matchAll(line)].map(([, name = '', description = '', total, free]) => ({
    name,
    description,
    totalBytes: Number(total) * 1024 * 1024,
    freeBytes: Number(free) * 1024 * 1024,
  }))
}
