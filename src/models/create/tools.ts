import { spawn } from 'node:child_process'
import { access, constants } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { DroverError } from '../../inference/index.ts'

/** What making a model needs beside the store. */
export interface ModelTools {
  /** Writes `source` to `target` in another type. Throws `unsupported` without the tool, `internal` with its last words. */
  quantize(
    job: { source: string; target: string; type: string },
    signal: AbortSignal,
  ): AsyncIterable<{ completed: number; total: number }>
  /** Turns a folder of safetensors into the GGUF `target`. Throws as `quantize` does. */
  convert(job: { folder: string; target: string; isAdapter: boolean }, signal: AbortSignal): Promise<void>
}

export interface ToolFolders {
  /** Folders where llama.cpp's programs may lie, before those of `PATH`. */
  folders: readonly string[]
  path: string | undefined
}

/** llama.cpp's own programs. */
export function createLlamaTools(where: ToolFolders): ModelTools {
  return {
    async *quantize({ source, target, type }, signal) {
      const tool = await find(['llama-quantize'], where)
      if (!tool) {
        const advice = 'install llama.cpp (drover engine install), or quantise the model elsewhere'
        throw new DroverError(
          'unsupported',
          `quantising needs llama-quantize, which was not found: ${advice}`,
        )
      }
      for await (const line of run(tool, ['--allow-requantize', source, target, type], signal)) {
        const [, completed, total] = /^\[\s*(\d+)\/\s*(\d+)\]/.exec(line) ?? []
        if (completed && total) yield { completed: Number(completed), total: Number(total) }
      }
    },
    async convert({ folder, target, isAdapter }, signal) {
      const name = isAdapter ? 'convert_lora_to_gguf' : 'convert_hf_to_gguf'
      const tool = await find([name, `${name}.py`], where)
      if (!tool) {
        const advice = `put llama.cpp's ${name}.py on the PATH, or convert it elsewhere and create from the GGUF`
        throw new DroverError(
          'unsupported',
          `safetensors are converted by ${name}.py, which was not found: ${advice}`,
        )
      }
      for await (const _ of run(tool, [folder, '--outfile', target], signal)) signal.throwIfAborted()
    },
  }
}

async function find(
  names: readonly string[],
  { folders, path = '' }: ToolFolders,
): Promise<string | undefined> {
  for (const folder of [...folders, ...path.split(delimiter)]) {
    for (const name of names) {
      const file = join(folder, name)
      if (folder !== '' && (await isExecutable(file))) return file
    }
  }
  return undefined
}

async function isExecutable(file: string): Promise<boolean> {
  try {
    await access(file, constants.X_OK)
    return true
  } catch {
    // Not there, or not for this user: the next folder may have it.
    return false
  }
}

/** How much of a failed tool's output goes into the error. */
const lastLines = 5

/** Runs a tool; gives its lines. Throws `internal` with the last of them when it fails, and ends it when aborted. */
async function* run(file: string, args: readonly string[], signal: AbortSignal): AsyncGenerator<string> {
  // llama.cpp's tools tell their progress now on one stream, now on the other.
  const child = spawn('/bin/sh', ['-c', 'exec "$0" "$@" 2>&1', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
    signal,
    killSignal: 'SIGKILL',
  })
  const failed = new Promise<string | undefined>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, ended) =>
      resolve(code === 0 ? undefined : `it ended with ${ended ?? `code ${code}`}`),
    )
  })
  const last: string[] = []
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.trim() !== '' && last.push(line) > lastLines) last.shift()
    yield line
  }
  const reason = await failed
  signal.throwIfAborted()
  if (reason) throw new DroverError('internal', `${file} failed (${reason}): ${last.join(' | ')}`)
}
