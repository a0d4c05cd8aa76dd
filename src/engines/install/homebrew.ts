import { join } from 'node:path'
import { type EngineSource, findOnPath, isExecutable, run, writeWrapper } from './source.ts'

const brewTimeoutMs = 30 * 60_000
const tools = ['llama-server', 'llama-quantize', 'llama-tokenize', 'llama-bench', 'llama-cli', 'rpc-server']

/** Homebrew's `llama.cpp`; the installed folder only points to it. */
export function homebrewSource(): EngineSource {
  return {
    name: 'Homebrew',
    obtain: async (target, { signal, onProgress }) => {
      const brew = await findOnPath('brew')
      if (!brew) throw new Error('brew is not on the PATH')
      onProgress({ phase: 'download', message: 'brew install llama.cpp' })
      await run(brew, ['install', 'llama.cpp'], { signal, timeoutMs: brewTimeoutMs })
      const prefix = (await run(brew, ['--prefix', 'llama.cpp'], { signal, timeoutMs: 60_000 })).trim()
      for (const tool of tools) {
        const path = join(prefix, 'bin', tool)
        if (await isExecutable(path)) await writeWrapper(target, tool, `"${path}"`)
      }
    },
  }
}
