import { randomId } from '../../core/index.ts'
import type { Tool } from '../../inference/index.ts'
import type { OutputParser, OutputPiece } from '../contract.ts'
import { partialTag } from '../text.ts'
import { parseObject } from './sections.ts'

/**
 * OpenAI's harmony format (gpt-oss): messages with a role, a channel and perhaps a recipient in their head. What is in
 * the channel `analysis` is a thought, what is meant for `functions.f` a call. The prompt comes from the model's template.
 */

/** The special tokens that the parser must see. */
export const harmonyPreservedTokens = [
  '<|start|>',
  '<|end|>',
  '<|message|>',
  '<|channel|>',
  '<|constrain|>',
  '<|call|>',
  '<|return|>',
]

/** What ends a message's text; the next one's head begins behind it. */
const endMarkers = ['<|end|>', '<|call|>', '<|return|>', '<|start|>']
const headEnd = '<|message|>'

interface Head {
  channel: string
  /** Name of the function that the message calls. */
  calls: string | undefined
}

/** Parses the output. The prompt ends with the head that the answer goes on with, as a rule `<|start|>assistant`. */
export function createHarmonyParser(prompt: string, tools: readonly Tool[]): OutputParser {
  const names = new Map(tools.map(({ function: { name } }) => [identifierOf(name), name]))
  /** The open message's head; undefined while the head itself is read. */
  let head: Head | undefined = openHead(prompt)
  let held = ''
  let args = ''
  let callIndex = 0

  const step = (pieces: OutputPiece[], isLast: boolean): boolean => {
    if (head === undefined) return readHead(pieces, isLast)
    const found = firstOf(held, endMarkers)
    const certain = found?.at ?? (isLast ? held.length : held.length - longestPartial(held))
    const text = held.slice(0, certain)
    held = held.slice(found ? found.at + found.marker.length : certain)
    if (head.calls !== undefined) args += text
    else emit(pieces, head.channel === 'analysis' ? 'thinking' : 'token', text)
    if (!found && !isLast) return false
    closeCall(pieces, head)
    head = undefined
    return found !== undefined
  }

  const readHead = (pieces: OutputPiece[], isLast: boolean): boolean => {
    const at = held.indexOf(headEnd)
    if (at >= 0) {
      head = parseHead(held.slice(0, at), names)
      held = held.slice(at + headEnd.length)
      return true
    }
    // A head that never ends was none: the model has forgotten its format.
    if (isLast && !held.includes('<|')) emit(pieces, 'token', held)
    return false
  }

  const closeCall = (pieces: OutputPiece[], { calls: name }: Head) => {
    if (name === undefined) return
    const read = parseObject(args.trim() || '{}')
    if (read) {
      const call = { name, index: callIndex++, arguments: read }
      pieces.push({ type: 'toolCall', call: { id: `call_${randomId(8)}`, function: call } })
    } else emit(pieces, 'token', args)
    args = ''
  }

  const take = (isLast: boolean): OutputPiece[] => {
    const pieces: OutputPiece[] = []
    while (step(pieces, isLast));
    return pieces
  }
  return {
    push: (text) => {
      held += text
      return take(false)
    },
    end: () => take(true),
  }
}

/** The head of a message that the prompt left open, if its text has already begun. */
function openHead(prompt: string): Head | undefined {
  const start = prompt.lastIndexOf('<|start|>')
  const open = start < 0 ? '' : prompt.slice(start + '<|start|>'.length)
  const at = open.indexOf(headEnd)
  if (at < 0 || firstOf(open.slice(at), endMarkers)) return undefined
  return parseHead(open.slice(0, at), new Map())
}

/** `assistant<|channel|>commentary to=functions.f <|constrain|>json`, its parts in any order. */
function parseHead(text: string, names: ReadonlyMap<string, string>): Head {
  const channel = /<\|channel\|>\s*(\w+)/.exec(text)?.[1] ?? ''
  const recipient = /to=functions\.([^\s<]+)/.exec(text)?.[1]
  return { channel, calls: recipient === undefined ? undefined : (names.get(recipient) ?? recipient) }
}

/** A tool's name as the template writes it, since TypeScript has fewer letters for names. */
function identifierOf(name: string): string {
  const written = name.replace(/[^A-Za-z0-9_$]/g, '_')
  return /^\d/.test(written) ? `_${written}` : written
}

function emit(pieces: OutputPiece[], type: 'token' | 'thinking', text: string): void {
  if (text === '') return
  const last = pieces.at(-1)
  if (last?.type === type) last.text += text
  else pieces.push({ type, text })
}

function firstOf(text: string, markers: readonly string[]): { at: number; marker: string } | undefined {
  let first: { at: number; marker: string } | undefined
  for (const marker of markers) {
    const at = text.indexOf(marker)
    if (at >= 0 && (first === undefined || at < first.at)) first = { at, marker }
  }
  return first
}

function longestPartial(text: string): number {
  return Math.max(...endMarkers.map((marker) => partialTag(text, marker)))
}
