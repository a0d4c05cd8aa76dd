/** What is wrong with a Modelfile, in Ollama's words. */
export class ModelfileError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'ModelfileError'
  }
}

/** One instruction: `PARAMETER <key> <value>`, `MESSAGE <key> <value>`, else without a key. */
export interface Command {
  /** In lower case. */
  name: string
  key: string
  value: string
}

const names = [
  'from',
  'license',
  'template',
  'system',
  'adapter',
  'draft',
  'renderer',
  'parser',
  'parameter',
  'message',
  'requires',
]

const unknownCommand = `command must be one of ${names
  .slice(0, -1)
  .map((name) => `"${name}"`)
  .join(', ')}, or "requires"`

/** A place in the text; reading moves it on. */
interface Cursor {
  text: string
  at: number
}

/**
 * Cuts a Modelfile into its instructions. A value ends with its line, unless it was opened with `"` or `"""`: then with
 * the line that closes it, and the quotes are taken off. Nothing is escaped. Throws `ModelfileError`.
 */
export function commandsOf(source: string): Command[] {
  const cursor: Cursor = { text: source.replace(/^\uFEFF/, ''), at: 0 }
  const commands: Command[] = []
  for (skipBlank(cursor); cursor.at < cursor.text.length; skipBlank(cursor)) {
    if (cursor.text[cursor.at] === '#') skipLine(cursor)
    else commands.push(readCommand(cursor))
  }
  return commands
}

function readCommand(cursor: Cursor): Command {
  const line = cursor.text.slice(0, cursor.at).split('\n').length
  const name = take(cursor, /[A-Za-z]*/y).toLowerCase()
  if (cursor.at >= cursor.text.length) throw new ModelfileError('unexpected EOF')
  if (!names.includes(name) || !/\s/.test(cursor.text[cursor.at] ?? '')) {
    throw new ModelfileError(`(line ${line}): ${unknownCommand}`)
  }
  const key = name === 'parameter' || name === 'message' ? readKey(cursor, line) : ''
  return { name, key, value: readValue(cursor) }
}

function readKey(cursor: Cursor, line: number): string {
  take(cursor, /[ \t]*/y)
  const key = take(cursor, /[A-Za-z0-9_]*/y)
  if (cursor.at >= cursor.text.length) throw new ModelfileError('unexpected EOF')
  if (key === '' || !/\s/.test(cursor.text[cursor.at] ?? '')) {
    throw new ModelfileError(`(line ${line}): invalid name "${key}${take(cursor, /\S*/y)}"`)
  }
  return key
}

/** From the first word on, which may stand on a later line, to the end of the line that closes it. */
function readValue(cursor: Cursor): string {
  skipBlank(cursor)
  let text = ''
  while (cursor.at < cursor.text.length) {
    const end = cursor.text.indexOf('\n', cursor.at)
    const lineEnd = end < 0 ? cursor.text.length : end
    text += cursor.text.slice(cursor.at, lineEnd)
    cursor.at = Math.min(cursor.text.length, lineEnd + 1)
    const value = unquoted(text.trim())
    if (value !== undefined) return value
    text += '\n'
  }
  throw new ModelfileError('unexpected EOF')
}

/** The value in its quotes; undefined while they are open. */
function unquoted(text: string): string | undefined {
  for (const quote of ['"""', '"']) {
    if (!text.startsWith(quote)) continue
    const closed = text.length >= 2 * quote.length && text.endsWith(quote)
    return closed ? text.slice(quote.length, -quote.length) : undefined
  }
  return text
}

function take(cursor: Cursor, pattern: RegExp): string {
  pattern.lastIndex = cursor.at
  const [found = ''] = pattern.exec(cursor.text) ?? []
  cursor.at += found.length
  return found
}

function skipBlank(cursor: Cursor): void {
  take(cursor, /\s*/y)
}

function skipLine(cursor: Cursor): void {
  take(cursor, /[^\n]*/y)
}
