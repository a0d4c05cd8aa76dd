import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import {
  clearScreen,
  clearToLineEnd,
  clearToScreenEnd,
  endBracketedPaste,
  grey,
  hideCursor,
  left,
  plain,
  right,
  showCursor,
  startBracketedPaste,
  up,
} from './codes.ts'
import { type Draft, draftOf, edit, emptyDraft, isEmpty, textOf } from './edit.ts'
import type { History } from './history.ts'
import { createKeyReader, type Key } from './keys.ts'
import { type Layout, layOut } from './layout.ts'
import { textWidth } from './width.ts'

/** How reading a text ended. */
export type Entered =
  /** Enter. `pasted`: it has line ends that were pasted. */
  | { how: 'line'; text: string; pasted: boolean }
  /** Ctrl-C. */
  | { how: 'interrupt'; text: string }
  /** Ctrl-G. */
  | { how: 'editor'; text: string }
  /** Ctrl-D on an empty line, or the terminal is gone. */
  | { how: 'end' }

export interface ReadOptions {
  /** More of a text whose beginning was entered before. */
  continues: boolean
  /** What the text begins as. */
  prefill?: string
}

export interface LineEditor {
  read(options: ReadOptions): Promise<Entered>
  /** Gives the terminal back as it was. */
  close(): void
}

const prompts = { first: '>>> ', more: '... ' }
const placeholders = { first: 'Send a message (/? for help)', more: 'Press Enter to send' }

/** Reads texts from a terminal, with Ollama's prompts and keys. Between reads the terminal is as it was. */
export function createLineEditor(
  history: History,
  input: NodeJS.ReadStream = process.stdin,
  output: NodeJS.WriteStream = process.stdout,
): LineEditor {
  const readKeys = createKeyReader()
  const waiting: Key[] = []
  let wake: (() => void) | undefined
  let ended = false
  input.setEncoding('utf8')
  const onData = (chunk: string) => {
    waiting.push(...readKeys(chunk))
    wake?.()
  }
  const onEnd = () => {
    ended = true
    wake?.()
  }
  const giveBack = () => {
    if (input.isRaw) input.setRawMode(false)
  }
  input.on('data', onData).on('end', onEnd).on('close', onEnd)
  input.pause()
  process.once('exit', giveBack)
  output.write(startBracketedPaste)

  const nextKey = async (): Promise<Key | undefined> => {
    while (waiting.length === 0 && !ended) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return waiting.shift()
  }
  return {
    read: async ({ continues, prefill = '' }) => {
      input.setRawMode(true)
      input.resume()
      const screen = createScreen(output, continues)
      try {
        return await readDraft(nextKey, () => waiting.length > 0, history, screen, prefill)
      } finally {
        giveBack()
        input.pause()
      }
    },
    close: () => {
      output.write(endBracketedPaste)
      giveBack()
      input.off('data', onData).off('end', onEnd).off('close', onEnd)
      input.pause()
      process.off('exit', giveBack)
    },
  }
}

/** Takes keys until one of them ends the text. */
async function readDraft(
  nextKey: () => Promise<Key | undefined>,
  moreWaits: () => boolean,
  history: History,
  screen: Screen,
  prefill: string,
): Promise<Entered> {
  let draft = draftOf(prefill, emptyDraft(history.lines.length))
  screen.show(draft)
  for (;;) {
    const key = await nextKey()
    if (!key) return { how: 'end' }
    const name = 'name' in key && !draft.pasting ? key.name : undefined
    if (name === 'enter') {
      const text = textOf(draft)
      if (text !== '') history.add(text)
      screen.leave(draft)
      return { how: 'line', text, pasted: draft.pasted }
    }
    if (name === 'interrupt') {
      screen.leave(draft)
      return { how: 'interrupt', text: textOf(draft) }
    }
    if (name === 'editor') {
      screen.erase()
      return { how: 'editor', text: textOf(draft) }
    }
    if (name === 'delete-or-end' && isEmpty(draft)) {
      screen.leave(draft)
      return { how: 'end' }
    }
    if (name === 'clear-screen') screen.clear()
    if (name === 'suspend') {
      await suspend()
      screen.forget()
    }
    draft = edit(draft, key, history.lines)
    // Text that is pasted comes as many keys at once and is drawn when it is all there.
    if (!moreWaits()) screen.show(draft)
  }
}

/** As long after the signal a process still runs that was not stopped. */
const orphanMs = 100

/** Ctrl-Z: the shell has the terminal until it says `fg`. */
async function suspend(): Promise<void> {
  const { stdin } = process
  stdin.setRawMode(false)
  const resumed = once(process, 'SIGCONT')
  // The whole job stops, as when the terminal sends the signal itself.
  process.kill(0, 'SIGTSTP')
  // Without a shell above there is nobody to go on by, and nothing stopped.
  await Promise.race([resumed, setTimeout(orphanMs)])
  stdin.setRawMode(true)
}

interface Screen {
  show(draft: Draft): void
  /** Leaves the text where it is and goes to a line of its own. */
  leave(draft: Draft): void
  erase(): void
  clear(): void
  /** What was drawn is no longer there. */
  forget(): void
}

function createScreen(output: NodeJS.WriteStream, continues: boolean): Screen {
  const own = continues ? { first: prompts.more, more: prompts.more } : prompts
  const placeholder = continues ? placeholders.more : placeholders.first
  let drawn: Layout | undefined
  let placeholderShown = false
  const draw = (next: Layout, tail: string) => {
    const added = drawn && !placeholderShown ? appended(drawn, next) : undefined
    if (added !== undefined) output.write(added + tail)
    else {
      const start = drawn ? `${up(drawn.cursorRow)}\r${clearToScreenEnd}` : ''
      output.write(`${hideCursor}${start}${next.rows.join('\r\n')}${toCursor(next)}${tail}${showCursor}`)
    }
    drawn = next
  }
  const visible = (layout: Layout) => lastRows(layout, output.rows || 24)
  const show = (draft: Draft) => {
    const layout = visible(layOut(draft, own, output.columns || 80))
    const holds = isEmpty(draft) && !draft.pasting
    draw(layout, holds ? `${grey}${placeholder}${left(placeholder.length)}${plain}` : '')
    placeholderShown = holds
  }
  const forget = () => {
    drawn = undefined
    placeholderShown = false
  }
  return {
    show,
    leave: (draft) => {
      const layout = layOut({ ...draft, cursor: draft.line.length }, own, output.columns || 80)
      draw(visible(layout), clearToLineEnd)
      output.write('\r\n')
    },
    erase: () => {
      output.write(`${up(drawn?.cursorRow ?? 0)}\r${clearToScreenEnd}`)
      forget()
    },
    clear: () => {
      output.write(clearScreen)
      forget()
    },
    forget,
  }
}

/** From the end of what was drawn to where the cursor stands. */
function toCursor({ rows, cursorRow, cursorColumn }: Layout): string {
  if (cursorRow === rows.length - 1 && cursorColumn === textWidth(rows.at(-1) ?? '')) return ''
  return `${up(rows.length - 1 - cursorRow)}\r${right(cursorColumn)}`
}

/** What to write when the next layout is the last one with more at its end; undefined when it is not. */
function appended(last: Layout, next: Layout): string | undefined {
  const [before = '', after = ''] = [last.rows.at(-1), next.rows.at(-1)]
  const grows =
    toCursor(last) === '' &&
    toCursor(next) === '' &&
    after.startsWith(before) &&
    next.rows.length === last.rows.length &&
    next.rows.slice(0, -1).every((row, index) => row === last.rows[index])
  return grows ? after.slice(before.length) : undefined
}

/** As many rows as the terminal has, those around the cursor. */
function lastRows(layout: Layout, rows: number): Layout {
  const from = Math.max(0, Math.min(layout.cursorRow, layout.rows.length - rows))
  return {
    ...layout,
    rows: layout.rows.slice(from, from + rows),
    cursorRow: layout.cursorRow - from,
  }
}
