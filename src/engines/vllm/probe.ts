import type { ProgramFacts } from '../openai/engine.ts'
import { findPython, flagsIn, isExecutable, onPath, outputOf, packageVersion } from '../openai/python.ts'

/** A vLLM that said its version. */
export interface VllmFacts extends ProgramFacts {
  /** What runs it: the program, or a Python with the package. */
  command: readonly string[]
}

const advice = 'Install vLLM (pip install vllm), or attach one that runs already (openaiUrls).'

/** Looks for `vllm`: the configured program alone where there is one, else the PATH, else a Python that has the package. */
export async function findVllm(configured: string | undefined): Promise<VllmFacts | { reason: string }> {
  const program = configured ?? (await onPath('vllm'))
  if (program !== undefined) return askProgram(program, [program])
  const python = await findPython()
  if (python === undefined) return { reason: `no vllm and no Python on the PATH. ${advice}` }
  try {
    const version = await packageVersion(python, 'vllm')
    if (version === undefined)
      return { reason: `no vllm on the PATH, and ${python} has no such package. ${advice}` }
    return askProgram(python, [python, '-m', 'vllm.entrypoints.cli.main'])
  } catch (error) {
    return { reason: `${python}: ${error instanceof Error ? error.message : error}. ${advice}` }
  }
}

async function askProgram(path: string, command: readonly string[]): Promise<VllmFacts | { reason: string }> {
  if (!(await isExecutable(path))) return { reason: `${path} is no program. Correct the configured path.` }
  try {
    const [versionText, help] = await Promise.all([outputOf(command, ['--version']), helpOf(command)])
    const version = vllmVersion(versionText)
    if (version === undefined) return { reason: `${path}: --version names no version of vLLM` }
    return { path, version, command, flags: flagsIn(help) }
  } catch (error) {
    return { reason: `${path}: ${error instanceof Error ? error.message : error}. ${advice}` }
  }
}

/** Newer releases show groups of flags unless all are asked for; older ones do not know that word. */
async function helpOf(command: readonly string[]): Promise<string> {
  try {
    return await outputOf(command, ['serve', '--help=all'])
  } catch {
    return outputOf(command, ['serve', '--help'])
  }
}

/** `0.11.0`, `vLLM API server version 0.6.1`; warnings of libraries may come before it. */
export function vllmVersion(output: string): string | undefined {
  return /^(?:.*version )?(\d+\.\d+(?:\.\d+)?\S*)\s*$/m.exec(output)?.[1]
}
