import { join } from 'node:path'
import { installLlamaCpp } from '../../src/engines/install/index.ts'

/** Where tests keep engines from one run to the next. */
export const testEnginesDir =
  process.env['DROVER_TEST_ENGINES'] ?? join(import.meta.dirname, '../../node_modules/.cache/drover-engines')

let installed: Promise<string> | undefined

/**
 * The path of a real `llama-server`, installed as `drover engine install llama.cpp` does it, once for all test
 * runs. Rejects, with what was tried, where it cannot be had: a test that needs it then fails.
 */
export function ensureLlamaServer(): Promise<string> {
  installed ??= installLlamaCpp({ enginesDir: testEnginesDir }).then(({ path }) => path)
  return installed
}
