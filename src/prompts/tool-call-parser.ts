import { randomId } from '../core/index.ts'
import type { Tool, ToolCall } from '../inference/index.ts'
import type { OutputPiece } from './contract.ts'
import { leadingSpace, partialTag } from './text.ts'

export interface ToolCallParser {
  push(text: string): OutputPiece[]
  /** What was held back: nothing once a call was found, since only its markup is left. */
  end(): OutputPiece[]
}

/**
 * Finds tool calls in an answer, by the rule of Ollama's `tools` package: text up to `tag` is content; behind it
 * the first name of a known tool and the first JSON object make a call, then the next. Bare `{` and `[` count only
 * where the answer begins with them, and as content again when the value closes without a call.
 *
 * Every character is looked at once and in order, so the calls do not depend on how the output was cut.
 */
export function createToolCallParser(tag: string, tools: readonly Tool[]): ToolCallParser {
  const search = createTagSearch(tag)
  let reader: CallReader | undefined
  let over = false
  let index = 0

  const token = (text: string): OutputPiece[] => (text === '' ? [] : [{ type: 'token', text }])

  function read(text: string, from: CallReader): OutputPiece[] {
    const pieces: OutputPiece[] = []
    for (let i = 0; i < text.length; i++) {
      const call = from.read(text.charAt(i))
      if (call !== undefined) pieces.push(toolCall(call))
      else if (index === 0 && from.closedWithoutCall()) {
        over = true
        pieces.push(...token(from.unread() + text.slice(i + 1)))
        break
      }
    }
    return pieces
  }

  function toolCall({ name, args }: FoundCall): OutputPiece {
    const call: ToolCall = { id: `call_${randomId(8)}`, function: { index: index++, name, arguments: args } }
    return { type: 'toolCall', call }
  }

  return {
    push: (text) => {
      if (over) return token(text)
      if (reader !== undefined) return read(text, reader)
      const { content, found, behind, hopeless } = search.push(text)
      const pieces = token(content)
      if (hopeless) over = true
      if (found === undefined) return pieces
      reader = createCallReader(found, tools)
      return pieces.concat(read(behind, reader))
    },
    end: () => {
      if (over) return []
      over = true
      if (reader === undefined) return token(search.end())
      const call = reader.end()
      if (call !== undefined) return [toolCall(call)]
      return index > 0 ? [] : token(reader.unread())
    },
  }
}

interface TagSearch {
  push(text: string): { content: string; found?: string; behind: string; hopeless?: boolean }
  end(): string
}

function isBare(tag: string): boolean {
  return tag === '{' || tag === '['
}

/** Looks for the tag in the content, and holds back what may be its beginning. */
function createTagSearch(tag: string): TagSearch {
  // Llama's models leave their tag out as often as not, and begin with the JSON.
  const bare = isBare(tag) ? tag : tag === '<|python_tag|>' ? '{' : undefined
  let atStart = bare !== undefined
  let held = ''
  return {
    push: (text) => {
      held += text
      if (atStart && bare !== undefined) {
        const spaces = leadingSpace(held)
        if (held.startsWith(bare, spaces)) {
          return { content: held.slice(0, spaces), found: bare, behind: held.slice(spaces + bare.length) }
        }
        if (held.length > spaces) atStart = false
        if (isBare(tag)) {
          const content = held
          held = ''
          return { content, behind: '', hopeless: !atStart }
        }
      }
      const start = held.indexOf(tag)
      const content = held.slice(0, start >= 0 ? start : held.length - partialTag(held, tag))
      const behind = start >= 0 ? held.slice(start + tag.length) : ''
      held = held.slice(content.length)
      return start >= 0 ? { content, found: tag, behind } : { content, behind }
    },
    end: () => held,
  }
}

interface FoundCall {
  name: string
  args: Record<string, unknown>
}

interface CallReader {
  /** The next character behind the tag. */
  read(char: string): FoundCall | undefined
  /** A bare `{` or `[` has closed, and it was no call. */
  closedWithoutCall(): boolean
  /** The text since the tag, or since the last call. */
  unread(): string
  end(): FoundCall | undefined
}

function createCallReader(tag: string, tools: readonly Tool[]): CallReader {
  const names = createNameSearch(tools.map((tool) => tool.function.name))
  const objects = createObjectSearch()
  const brackets = { depth: 0, closed: false }
  let unread = ''
  let object: Record<string, unknown> | undefined

  function countBrackets(char: string): void {
    if (!isBare(tag) || objects.inString()) return
    if (char === tag) brackets.depth++
    else if (char === (tag === '{' ? '}' : ']') && --brackets.depth === 0) brackets.closed = true
  }

  function read(char: string): FoundCall | undefined {
    unread += char
    names.read(char)
    const closed = objects.read(char)
    countBrackets(char)
    object ??= closed
    return take(false)
  }

  /** Makes a call of a name and an object, once both are there and the name cannot grow any more. */
  function take(isLast: boolean): FoundCall | undefined {
    const name = object && names.best(object.name)
    if (object === undefined || name === undefined || !(isLast || names.isSettled())) return undefined
    const args = findArguments(object, name)
    object = undefined
    names.reset()
    if (args === undefined) return undefined
    unread = ''
    return { name, args }
  }

  if (isBare(tag)) read(tag)
  else unread = tag
  return { read, closedWithoutCall: () => brackets.closed, unread: () => unread, end: () => take(true) }
}

/** Finds the names of tools in a text that comes character by character. */
function createNameSearch(names: readonly string[]) {
  const known = names.filter((name) => name !== '')
  const byLastChar = Map.groupBy(known, (name) => name.slice(-1))
  const longest = known.reduce((length, name) => Math.max(length, name.length), 0)
  let tail = ''
  let position = 0
  let found: { name: string; start: number } | undefined
  return {
    read: (char: string): void => {
      tail = (tail + char).slice(-longest)
      position++
      for (const name of byLastChar.get(char) ?? []) {
        if (!tail.endsWith(name)) continue
        const start = position - name.length
        const better = found === undefined || start < found.start
        if (better || (start === found?.start && name.length > found.name.length)) found = { name, start }
      }
    },
    /** Whether the text cannot be going on to a longer name: `get` may become `get_weather`. */
    isSettled: (): boolean => !known.some((name) => partialTag(tail, name) > 0),
    /** The name an object gives itself where it is a tool's, else the first in the text. */
    best: (own: unknown): string | undefined => known.find((name) => name === own) ?? found?.name,
    reset: (): void => {
      found = undefined
    },
  }
}

/** Finds whole JSON objects in a text that comes character by character; what is no JSON is passed over. */
function createObjectSearch() {
  let text: string[] = []
  let depth = 0
  let quoted = false
  let escaped = false

  function track(char: string): void {
    if (escaped) escaped = false
    else if (quoted && char === '\\') escaped = true
    else if (char === '"') quoted = !quoted
    else if (!quoted && char === '{') depth++
    else if (!quoted && char === '}') depth--
  }

  return {
    inString: () => quoted,
    /** The object that this character completes. */
    read: (char: string): Record<string, unknown> | undefined => {
      if (depth === 0 && char !== '{') return undefined
      track(char)
      text.push(char)
      if (depth > 0) return undefined
      const whole = text.join('')
      text = []
      return parseObject(whole)
    },
  }
}

function parseObject(text: unknown): Record<string, unknown> | undefined {
  if (typeof text !== 'string') return undefined
  try {
    return asRecord(JSON.parse(text))
  } catch {
    return undefined
  }
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}

/** An object may hold its arguments deep inside, but not deeper than this. */
const maxDepth = 64

/**
 * A call's arguments within the object the model wrote: those of the part that names a tool, else the object
 * itself. Nothing where that part has none.
 */
function findArguments(
  object: Record<string, unknown>,
  toolName: string,
): Record<string, unknown> | undefined {
  const found = searchArguments(object, toolName, 0)
  return found === undefined ? object : found.args
}

function searchArguments(
  object: Record<string, unknown>,
  toolName: string,
  depth: number,
): { args: Record<string, unknown> | undefined } | undefined {
  const read = (key: string) => asRecord(object[key]) ?? parseObject(object[key])
  if (Object.hasOwn(object, 'name')) return { args: read('arguments') ?? read('parameters') }
  const ownArguments = Object.hasOwn(object, toolName) ? read(toolName) : undefined
  if (ownArguments !== undefined) return { args: ownArguments }
  if (depth === maxDepth) return undefined
  for (const child of Object.values(object).flat()) {
    const record = asRecord(child)
    const found = record && searchArguments(record, toolName, depth + 1)
    if (found !== undefined) return found
  }
  return undefined
}
