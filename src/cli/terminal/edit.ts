import type { Key, KeyName } from './keys.ts'
import { graphemesOf } from './width.ts'

/** A text that is being typed: finished lines above, and the line that the cursor is in. */
export interface Draft {
  above: readonly string[]
  line: readonly string[]
  /** Graphemes of the line that stand before the cursor. */
  cursor: number
  /** What comes is pasted: line ends in it send nothing. */
  pasting: boolean
  /** Some of it was pasted in several lines. */
  pasted: boolean
  /** Place in the history; at its end stands what was typed last. */
  historyAt: number
  typed: string
}

export function emptyDraft(historySize: number): Draft {
  return { above: [], line: [], cursor: 0, pasting: false, pasted: false, historyAt: historySize, typed: '' }
}

/** A draft of a whole text, the cursor at its end. */
export function draftOf(text: string, draft: Draft): Draft {
  const lines = text.split('\n')
  const line = graphemesOf(lines.at(-1) ?? '')
  return { ...draft, above: lines.slice(0, -1), line, cursor: line.length }
}

export function textOf({ above, line }: Draft): string {
  return [...above, line.join('')].join('\n')
}

export function isEmpty({ above, line }: Draft): boolean {
  return above.length === 0 && line.length === 0
}

/** Ollama's tab. */
const tab = ' '.repeat(8)

type Move = (draft: Draft, history: readonly string[]) => Draft

const moves: Partial<Record<KeyName, Move>> = {
  left: (draft) => at(draft, draft.cursor - 1),
  right: (draft) => at(draft, draft.cursor + 1),
  'line-start': (draft) => at(draft, 0),
  'line-end': (draft) => at(draft, draft.line.length),
  'word-left': (draft) => at(draft, wordStart(draft)),
  'word-right': (draft) => at(draft, wordEnd(draft)),
  backspace: (draft) => (draft.cursor === 0 ? joinAbove(draft) : cut(draft, draft.cursor - 1, draft.cursor)),
  delete: (draft) => cut(draft, draft.cursor, draft.cursor + 1),
  'delete-or-end': (draft) => cut(draft, draft.cursor, draft.cursor + 1),
  'delete-word': (draft) => cut(draft, wordStart(draft), draft.cursor),
  'delete-before': (draft) => cut(draft, 0, draft.cursor),
  'delete-after': (draft) => cut(draft, draft.cursor, draft.line.length),
  newline: breakAtCursor,
  tab: (draft) => insert(draft, tab),
  'paste-start': (draft) => ({ ...draft, pasting: true }),
  'paste-end': (draft) => ({ ...draft, pasting: false }),
  up: (draft, history) => recall(draft, history, draft.historyAt - 1),
  down: (draft, history) => recall(draft, history, draft.historyAt + 1),
}

/** The draft after a key that changes it; the same draft for any other key. */
export function edit(draft: Draft, key: Key, history: readonly string[]): Draft {
  if ('text' in key) return insert(draft, key.text)
  if (!draft.pasting) return moves[key.name]?.(draft, history) ?? draft
  if (key.name === 'enter' || key.name === 'newline') return { ...breakAtCursor(draft), pasted: true }
  // Within a paste no key is a command.
  return key.name === 'paste-end' || key.name === 'tab' ? (moves[key.name]?.(draft, history) ?? draft) : draft
}

function breakAtCursor(draft: Draft): Draft {
  const { above, line, cursor } = draft
  return { ...draft, above: [...above, line.slice(0, cursor).join('')], line: line.slice(cursor), cursor: 0 }
}

function at(draft: Draft, cursor: number): Draft {
  return { ...draft, cursor: Math.max(0, Math.min(cursor, draft.line.length)) }
}

/** Typed letters can join: a letter and the accent after it are one grapheme. */
function insert(draft: Draft, text: string): Draft {
  const before = graphemesOf(draft.line.slice(0, draft.cursor).join('') + text)
  return { ...draft, line: [...before, ...draft.line.slice(draft.cursor)], cursor: before.length }
}

function cut(draft: Draft, from: number, to: number): Draft {
  return { ...draft, line: [...draft.line.slice(0, from), ...draft.line.slice(to)], cursor: from }
}

/** Backspace at the start of a line that is empty takes the line away. */
function joinAbove(draft: Draft): Draft {
  const last = draft.above.at(-1)
  if (last === undefined) return draft
  const before = graphemesOf(last)
  return {
    ...draft,
    above: draft.above.slice(0, -1),
    line: [...before, ...draft.line],
    cursor: before.length,
  }
}

function wordStart({ line, cursor }: Draft): number {
  let start = cursor
  while (start > 0 && line[start - 1] === ' ') start--
  while (start > 0 && line[start - 1] !== ' ') start--
  return start
}

function wordEnd({ line, cursor }: Draft): number {
  let end = cursor
  while (end < line.length && line[end] === ' ') end++
  while (end < line.length && line[end] !== ' ') end++
  return end
}

function recall(draft: Draft, history: readonly string[], place: number): Draft {
  if (place < 0 || place > history.length) return draft
  const typed = draft.historyAt === history.length ? textOf(draft) : draft.typed
  return draftOf(history[place] ?? typed, { ...draft, typed, historyAt: place })
}
