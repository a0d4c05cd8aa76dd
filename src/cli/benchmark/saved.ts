import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { messageOf } from '../errors.ts'
import type { BenchmarkReport } from './contract.ts'

const spread = z.object({ mean: z.number(), p50: z.number(), p90: z.number(), p99: z.number() })

/** What a comparison reads of a saved run. */
const saved = z.looseObject({
  version: z.literal(1),
  rows: z.array(
    z.looseObject({
      server: z.string(),
      model: z.string(),
      variant: z.string(),
      load: z.union([
        z.object({ kind: z.literal('closed'), concurrency: z.number() }),
        z.object({ kind: z.literal('open'), perSecond: z.number() }),
      ]),
      ttftMs: spread,
      itlMs: spread,
      outputTokensPerS: z.number(),
      goodput: z.object({ share: z.number(), perS: z.number() }),
    }),
  ),
})

/** A run that `--save` has kept. Throws where the file is none. */
export async function readSaved(path: string): Promise<BenchmarkReport> {
  let content: unknown
  try {
    content = JSON.parse(await readFile(path, 'utf8'))
  } catch (error) {
    throw new Error(`${path} cannot be read as a saved benchmark: ${messageOf(error)}`)
  }
  const result = saved.safeParse(content)
  if (!result.success) {
    const [issue] = result.error.issues
    throw new Error(
      `${path} is no saved benchmark of this version: ${issue?.path.join('.')}: ${issue?.message}; make it anew with --save`,
    )
  }
  return content as BenchmarkReport
}
