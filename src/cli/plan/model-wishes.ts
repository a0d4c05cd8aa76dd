import { type PlanRequestBody, queryValue } from '../../placement/index.ts'

type Named = NonNullable<PlanRequestBody['models']>[number]
export type ModelWithWishes = Exclude<Named, string>

/** What the command's flags are called where the API has another name. */
const flagNames: Readonly<Record<string, string>> = { ctx: 'context_length', engine: 'engines' }

/**
 * Reads `MODEL,ctx=8192,pin=gpu0,pin=gpu1`: a model with wishes of its own, by the names of the command's flags or of the
 * API's fields; those of a list may stand more than once. What is no wish is refused by who takes the request.
 */
export function modelWithWishes(text: string): ModelWithWishes {
  const [, model = text, written = ''] = /^(.+?)((?:,[a-z][a-z_-]*=[^,]*)*)$/s.exec(text) ?? []
  const wishes: Record<string, unknown> = {}
  for (const part of written.split(',').slice(1)) {
    const at = part.indexOf('=')
    const flag = part.slice(0, at).replaceAll('-', '_')
    const name = flagNames[flag] ?? flag
    const value = queryValue(name, part.slice(at + 1))
    const before = wishes[name]
    wishes[name] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value
  }
  return { ...wishes, model }
}
