import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeAtomically } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import { keptHistory } from '../placement/index.ts'

/** When each model was wanted, by its key, with the name that it was last asked for by. */
const askedModel = keptHistory.extend({ name: z.string() })
const file = z.object({ version: z.literal(1), models: z.array(askedModel) })

export type AskedModel = z.infer<typeof askedModel>

/** What is known of when models are wanted, kept from one run to the next. */
export interface RequestHistory {
  /** Of earlier runs; who was asked for longest ago first. */
  readonly earlier: readonly AskedModel[]
  save(models: readonly AskedModel[]): void
  /** Resolves when all that was told to be saved is in the file. */
  saved(): Promise<void>
}

export function requestHistoryPath(droverHome: string): string {
  return join(droverHome, 'request-history.json')
}

/**
 * Opens the file. One that cannot be used is told in the log, and begun anew; so is what is of the future, as after a clock
 * was set back.
 */
export function openRequestHistory(path: string, nowMs: number, log: Logger): RequestHistory {
  let saving = Promise.resolve()
  return {
    earlier: readModels(path, log).filter(({ lastArrivalMs }) => lastArrivalMs <= nowMs),
    save(models) {
      const text = `${JSON.stringify({ version: 1, models })}\n`
      saving = saving
        .then(() => writeAtomically(path, text))
        .catch((error: Error) => log.warn({ reason: error.message }, `${path} cannot be written`))
    },
    saved: () => saving,
  }
}

function readModels(path: string, log: Logger): readonly AskedModel[] {
  try {
    return file.parse(JSON.parse(readFileSync(path, 'utf8'))).models
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      const reason = error instanceof z.ZodError ? z.prettifyError(error) : (error as Error).message
      log.warn({ reason }, `${path} cannot be used and is begun anew`)
    }
    return []
  }
}
