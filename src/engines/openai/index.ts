import type { Engine } from '../contract.ts'
import { createHttpEngine, type HttpEngineOptions } from './engine.ts'

export type { OpenAiTarget } from './target.ts'
export { serverVariable } from './target.ts'

/** Servers that speak OpenAI's API and run already, whatever is behind it. */
export function createOpenAiEngine(options: HttpEngineOptions): Engine {
  return createHttpEngine('openai', options)
}
