import { z } from 'zod'
import { parseDurationMs } from './durations.ts'
import { parseSizeBytes } from './sizes.ts'

/** One thing that can be configured: everything that is known about it is written here and nowhere else. */
export interface Setting<Schema extends z.ZodType = z.ZodType> {
  /**
   * Its name in the file, with dots between a section and what is in it; in upper snake case behind `DROVER_` its
   * environment variable.
   */
  key: string
  /** From what is written in the file, a variable or a flag to what the program uses. */
  schema: Schema
  /** What may be written, for people. */
  allowed: string
  /** As it would be written; absent where nothing means "decide by the machine". */
  default?: string
  about: string
  /**
   * Ollama's variable for the same thing, and how its text is read where Ollama reads it more leniently. A `strict` one
   * stops the start when it cannot be used; others are passed over with a warning, as Ollama does.
   */
  ollama?: { name: string; read?: (text: string) => unknown; strict?: true }
  /** The value is a path: `~` is expanded, and it is relative to the file, or the working directory. */
  isPath?: boolean
  /** A change of it takes effect while the server runs; of others, at its next start. */
  live?: true
}

export interface WithDefault {
  default: string
}

export const setting = <Schema extends z.ZodType, Rest extends Omit<Setting<Schema>, 'schema'>>(
  schema: Schema,
  rest: Rest,
): Rest & { schema: Schema } => ({ ...rest, schema })

export const text = z.string().trim().min(1)
export const duration = z
  .union([z.string(), z.number()])
  .transform((value) => parseDurationMs(String(value).trim()))
  .pipe(z.number())
export const size = z
  .union([z.string(), z.number()])
  .transform((value) => parseSizeBytes(String(value).trim()))
  .pipe(z.number().int().positive())
export const count = z
  .union([z.number(), z.string().trim().regex(/^\d+$/).transform(Number)])
  .pipe(z.number().int().min(0))
export const ratio = z.union([
  z.number().min(0),
  z
    .string()
    .trim()
    .regex(/^\d*\.?\d+$/)
    .transform(Number),
])
export const countOrAuto = z.union([
  count.transform((value) => value || undefined),
  z.literal('auto').transform(() => undefined),
])
export const flag = z.union([z.boolean(), z.enum(['true', 'false']).transform((text) => text === 'true')])
export const list = z.union([
  z.array(text),
  z.string().transform((value) => value.split(',').map((part) => part.trim())),
])

export const durationForms = 'a duration such as 5m, 90s or 1h30m, or seconds'
