import { join } from 'node:path'
import type { ProgramFacts } from '../openai/engine.ts'
import { findPython, isExecutable, packageVersion } from '../openai/python.ts'

/** A TabbyAPI and the Python that runs it. */
export interface TabbyFacts extends ProgramFacts {
  python: string
}

const advice =
  'Give the folder of TabbyAPI (enginePrograms: ["exllama=/path/to/tabbyAPI"]), or attach one that runs already (openaiUrls).'

/** TabbyAPI is a folder, nothing that is found by itself: it has to be named. Its own `venv` is taken where it has one. */
export async function findTabby(folder: string | undefined): Promise<TabbyFacts | { reason: string }> {
  if (folder === undefined) return { reason: `TabbyAPI's folder is not known. ${advice}` }
  const own = join(folder, 'venv', 'bin', 'python')
  const python = (await isExecutable(own)) ? own : await findPython()
  if (python === undefined) return { reason: `no Python on the PATH, and none in ${folder}/venv. ${advice}` }
  try {
    // ExLlamaV3 is the newer one; TabbyAPI itself has no version.
    for (const name of ['exllamav3', 'exllamav2']) {
      const version = await packageVersion(python, name)
      if (version !== undefined)
        return { path: folder, python, version: `${name} ${version}`, flags: new Set() }
    }
    return { reason: `${python} has neither exllamav3 nor exllamav2. ${advice}` }
  } catch (error) {
    return { reason: `${python}: ${error instanceof Error ? error.message : error}. ${advice}` }
  }
}
