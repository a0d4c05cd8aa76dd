import type { PlanModel } from './contract.ts'
import { type FamousName, famousModel, famousNames } from './planner/famous-models.ts'

/** Models that Ollama's registry has under their name in another type than Q4_K_M. */
const usualTypes: Readonly<Record<string, string>> = { 'gpt-oss': 'MXFP4' }

/** Words of a tag that change nothing about memory and speed. */
const idleWords = /^(instruct|chat|text|it|thinking|\d{4})$/

/**
 * A well-known model by its name in Ollama's registry, with or without a file type: `llama3.1:70b`,
 * `llama3.1:70b-instruct-q8_0`, `deepseek-r1:671b-fp8`. Undefined for others.
 */
export function findFamous(text: string): PlanModel | undefined {
  const wanted = text.trim().toLowerCase()
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
