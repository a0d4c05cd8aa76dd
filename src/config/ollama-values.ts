const trueTexts = new Set(['1', 't', 'T', 'TRUE', 'true', 'True'])
const falseTexts = new Set(['0', 'f', 'F', 'FALSE', 'false', 'False'])

/** Spaces and quotes around a variable's text do not count. */
export function trimVariable(text: string): string {
  return text.replace(/^[\s"']+|[\s"']+$/g, '')
}

/** Go's `ParseBool` as Ollama uses it: what cannot be parsed counts as true. */
export function parseBool(text: string): boolean {
  return !falseTexts.has(text)
}

/** `OLLAMA_DEBUG`: true or 1 is debug, 2 and more trace, negative numbers are quieter; anything else is info. */
export function parseLogLevel(text: string): 'trace' | 'debug' | 'info' | 'warn' | 'error' {
  if (trueTexts.has(text)) return 'debug'
  const step = /^[+-]?\d+$/.test(text) ? Number(text) : 0
  if (step >= 2) return 'trace'
  if (step <= -2) return 'error'
  return step === -1 ? 'warn' : 'info'
}
