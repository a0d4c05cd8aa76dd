import { randomId } from '../../core/index.ts'
import type { OutputParser, OutputPiece } from '../contract.ts'
import { leadingSpace, partialTag } from '../text.ts'

/** A call as a model wrote it. */
export interface FoundCall {
  name: string
  args: Record<string, unknown>
}

/** Text up to one of some markers. */
export interface TextSection<Name extends string> {
  /** Where its text goes; `none` drops it. */
  as: 'token' | 'thinking' | 'none'
  /** The markers that end it, each with the section behind it. */
  markers: readonly (readonly [marker: string, next: Name])[]
  /** Texts that are dropped where the section begins with them: markers a model repeats. */
  leading?: readonly string[]
  /** White space at its start, and before the marker that ends it, is markup. */
  trim?: 'start' | 'end' | 'both'
  /**
   * Other sections that it may turn out to be, by how its text begins: `begins` is undefined while it may be. A
   * number is true, and says how many characters at the start are markup.
   */
  unless?: readonly { begins(text: string): boolean | number | undefined; next: Name }[]
}

/** Where a block ends: its body's end, and where the text behind it begins. */
export interface BlockEnd {
  body: number
  rest: number
}

/** Tool calls, held back until the block is complete. */
export interface CallSection<Name extends string> {
  as: 'calls'
  /**
   * A search for one block's end, given all its text so far. It is called again with a longer text until it finds
   * the end, and once with `isLast` when no more text comes.
   */
  search: () => (text: string, isLast: boolean) => BlockEnd | undefined
  /** The calls in a block's body; undefined where it holds none that can be read: its text is shown then. */
  read(body: string): FoundCall[] | undefined
  /** The section behind its calls. */
  next: Name
  /** The section behind a block that is shown. */
  unread: Name
}

export type Section<Name extends string> = TextSection<Name> | CallSection<Name>

/**
 * A parser for output that markers divide into sections, by a table of them. Text comes out as soon as it can be no
 * part of a marker, a call as soon as it is complete, and a call that cannot be read comes out as the text it was.
 * The pieces do not depend on how the output was cut, their grouping apart.
 */
export function createSectionParser<Name extends string>(
  sections: Record<Name, Section<Name>>,
  start: Name,
): OutputParser {
  let section: Section<Name> = sections[start]
  let held = ''
  let atStart = true
  let opener = ''
  let findEnd: ReturnType<CallSection<Name>['search']> | undefined
  let callIndex = 0
  let pieces: OutputPiece[] = []

  /** Goes to a section. `markup`: what stood before it, shown only where its block cannot be read. */
  function enter(name: Name, markup: string, rest: string): true {
    section = sections[name]
    held = rest
    atStart = true
    opener = markup
    findEnd = section.as === 'calls' ? section.search() : undefined
    return true
  }

  function emit(type: 'token' | 'thinking', text: string): void {
    if (text === '') return
    const last = pieces.at(-1)
    if (last?.type === type) last.text += text
    else pieces.push({ type, text })
  }

  /** Takes what is certain; true where more may be certain behind it. */
  function step(isLast: boolean): boolean {
    return section.as === 'calls' ? readCalls(section, isLast) : readText(section, isLast)
  }

  function readText(text: TextSection<Name>, isLast: boolean): boolean {
    if (atStart && !passStart(text, isLast)) return false
    if (section !== text) return true
    const found = firstMarker(held, text.markers)
    const certain = found?.at ?? (isLast ? held.length : held.length - longestPartial(held, text.markers))
    const trims = text.trim === 'end' || text.trim === 'both'
    const end = trims && !(isLast && found === undefined) ? trimmedEnd(held, certain) : certain
    if (text.as !== 'none') emit(text.as, held.slice(0, end))
    if (found !== undefined) {
      const behind = found.at + found.marker.length
      return enter(found.next, held.slice(end, behind), held.slice(behind))
    }
    held = held.slice(end)
    return false
  }

  /** Drops what does not count at a section's start; false where only more text can tell. */
  function passStart(text: TextSection<Name>, isLast: boolean): boolean {
    const trims = text.trim === 'start' || text.trim === 'both'
    for (;;) {
      if (trims) held = held.slice(leadingSpace(held))
      if (held === '') return false
      const repeated = text.leading?.find((marker) => held.startsWith(marker))
      if (repeated === undefined) break
      held = held.slice(repeated.length)
    }
    if (!isLast && text.leading?.some((marker) => marker.startsWith(held))) return false
    let isCertain = true
    for (const { begins, next } of text.unless ?? []) {
      const answer = begins(held)
      if (answer === true) return enter(next, '', held)
      if (typeof answer === 'number') return enter(next, held.slice(0, answer), held.slice(answer))
      if (answer === undefined) isCertain = false
    }
    if (!isCertain && !isLast) return false
    atStart = false
    return true
  }

  function readCalls(calls: CallSection<Name>, isLast: boolean): boolean {
    const end = findEnd?.(held, isLast) ?? (isLast ? { body: held.length, rest: held.length } : undefined)
    if (end === undefined) return false
    const found = calls.read(held.slice(0, end.body))
    if (found === undefined) emit('token', opener + held.slice(0, end.rest))
    else for (const call of found) pieces.push(toolCall(call))
    return enter(found === undefined ? calls.unread : calls.next, '', held.slice(end.rest)) && held !== ''
  }

  function toolCall({ name, args }: FoundCall): OutputPiece {
    const call = { id: `call_${randomId(8)}`, function: { index: callIndex++, name, arguments: args } }
    return { type: 'toolCall', call }
  }

  function take(isLast: boolean): OutputPiece[] {
    while (step(isLast));
    const taken = pieces
    pieces = []
    return taken
  }

  if (section.as === 'calls') findEnd = section.search()
  return {
    push: (text) => {
      held += text
      return take(false)
    },
    end: () => take(true),
  }
}

function firstMarker<Name extends string>(text: string, markers: TextSection<Name>['markers']) {
  let first: { at: number; marker: string; next: Name } | undefined
  for (const [marker, next] of markers) {
    const at = text.indexOf(marker)
    if (at >= 0 && (first === undefined || at < first.at)) first = { at, marker, next }
  }
  return first
}

function longestPartial(text: string, markers: readonly (readonly [string, string])[]): number {
  let longest = 0
  for (const [marker] of markers) longest = Math.max(longest, partialTag(text, marker))
  return longest
}

/** Where the text up to `end` ends without white space. */
function trimmedEnd(text: string, end: number): number {
  let start = end
  while (start > 0 && leadingSpace(text.charAt(start - 1)) > 0) start--
  return start
}

/** A thought between `<think>` tags, the first of which may be repeated; a call ends it too. */
export function thoughtSection<Name extends string>(
  answer: Name,
  call: readonly [marker: string, next: Name],
): TextSection<Name> {
  return { as: 'thinking', trim: 'both', leading: ['<think>'], markers: [['</think>', answer], call] }
}

/** For `unless`: whether a text begins with this one, white space apart. */
export function beginsWith(start: string): (text: string) => boolean | undefined {
  return (text) => {
    const trimmed = text.slice(leadingSpace(text))
    return trimmed.startsWith(start) || (start.startsWith(trimmed) ? undefined : false)
  }
}

/** A search for a block's end that stops at a marker. */
export function untilMarker(close: string): () => (text: string) => BlockEnd | undefined {
  return () => {
    let searched = 0
    return (text) => {
      const at = text.indexOf(close, searched)
      searched = Math.max(0, text.length - close.length + 1)
      return at < 0 ? undefined : { body: at, rest: at + close.length }
    }
  }
}

/** A search for the end of a JSON object or array; a text that does not begin with one ends at once. */
export function untilJsonEnd(): (text: string) => BlockEnd | undefined {
  let position = 0
  let depth = 0
  let quoted = false
  let escaped = false
  return (text) => {
    for (; position < text.length; position++) {
      const char = text.charAt(position)
      if (escaped) escaped = false
      else if (quoted) {
        escaped = char === '\\'
        quoted = char !== '"'
      } else if (char === '{' || char === '[') depth++
      else if (depth === 0 && leadingSpace(char) === 0) return { body: position, rest: position }
      else if (char === '"') quoted = true
      else if ((char === '}' || char === ']') && --depth === 0)
        return { body: position + 1, rest: position + 1 }
    }
    return undefined
  }
}

/** A JSON object's members; undefined for any other text. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch (error) {
    // What a model writes is often no JSON: the caller shows it as text.
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
