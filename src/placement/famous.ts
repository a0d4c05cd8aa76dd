import type { PlanModel } from './contract.ts'
import { type FamousName, famousModel, famousNames } from './planner/famous-models.ts'

/** Models that Ollama's registry has under their name in another type than Q4_K_M. */
const usualTypes: Readonly<Record<string, string>> = { 'gpt-oss': 'MXFP4' }

/** Words of a tag that change nothing about memory and speed. */
const idleWords = /^(instruct|chat|text|it|thinking|\d{4})$/

/** What names without a tag mean in the registry, where that is one of these models. */
const latest = new Map<string, FamousName>([
  ['llama3.1', 'llama3.1:8b'],
  ['qwen3', 'qwen3:8b'],
  ['gpt-oss', 'gpt-oss:20b'],
  ['mixtral', 'mixtral:8x7b'],
])

/**
 * A well-known model by its name in Ollama's registry, with or without a file type: `llama3.1:70b`,
 * `llama3.1:70b-instruct-q8_0`, `deepseek-r1:671b-fp8`. Undefined for others.
 */
export function findFamous(text: string): PlanModel | undefined {
  const written = text.trim().toLowerCase()
  const wanted = latest.get(written.replace(/:latest$/, '')) ?? written
  const name = famousNames
    .filter((known) => wanted === known || wanted.startsWith(`${known}-`))
    .toSorted((a, b) => b.length - a.length)[0]
  if (!name) return undefined
  const words = wanted
    .slice(name.length + 1)
    .split('-')
    .filter((word) => word !== '' && !idleWords.test(word))
  if (words.length > 1) return undefined
  const fileType = words[0]?.toUpperCase() ?? usualTypes[name.split(':')[0] ?? ''] ?? 'Q4_K_M'
  return named(name, fileType, text.trim())
}

function named(name: FamousName, fileType: string, shown: string): PlanModel | undefined {
  try {
    return { ...famousModel(name, fileType), name: shown }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}

/** The names that `findFamous` knows, for a refusal. */
export const famousModelNames: readonly string[] = famousNames
