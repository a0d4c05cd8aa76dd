import type { ProgramFacts } from '../openai/engine.ts'
import { findPython, flagsIn, isExecutable, outputOf, packageVersion } from '../openai/python.ts'

const advice = 'Install SGLang (pip install "sglang[all]"), or attach one that runs already (openaiUrls).'

/** Looks for a Python that has SGLang: the configured one alone where there is one, else that of the PATH. */
export async function findSglang(configured: string | undefined): Promise<ProgramFacts | { reason: string }> {
  const python = configured ?? (await findPython())
  if (python === undefined) return { reason: `no Python on the PATH. ${advice}` }
  if (!(await isExecutable(python)))
    return { reason: `${python} is no program. Correct the configured path.` }
  try {
    const version = await packageVersion(python, 'sglang')
    if (version === undefined) return { reason: `${python} has no package sglang. ${advice}` }
    const help = await outputOf([python, '-m', 'sglang.launch_server'], ['--help'])
    return { path: python, version, flags: flagsIn(help) }
  } catch (error) {
    return { reason: `${python}: ${error instanceof Error ? error.message : error}. ${advice}` }
  }
}
