import { leadingSpace, partialTag } from './text.ts'

/** Output split into thinking and the rest; either may be empty. */
export interface ThinkingSplit {
  thinking: string
  rest: string
}

export interface ThinkingParser {
  push(text: string): ThinkingSplit
  /** What was held back. */
  end(): ThinkingSplit
}

type State = 'looking' | 'eatingAfterOpen' | 'thinking' | 'eatingAfterClose' | 'done'

/**
 * Separates thinking at the output's beginning from the answer, as Ollama's `thinking` package does: white space
 * before the open tag, behind it and behind the close tag is dropped, a half tag is held back, and any other text
 * at the start means that there is no thinking. `inside`: the prompt has opened the tag already.
 */
export function createThinkingParser(open: string, close: string, inside: boolean): ThinkingParser {
  let state: State = inside ? 'eatingAfterOpen' : 'looking'
  /** White space before a possible open tag: part of the answer if none comes. */
  let leading = ''
  let held = ''

  /** Gives what is certain of the held text; `undefined` when more is needed. */
  function step(split: ThinkingSplit): boolean {
    if (state === 'looking') return lookForOpening(split)
    if (state === 'thinking') return think(split)
    if (state === 'done') {
      split.rest += held
      held = ''
      return false
    }
    held = held.slice(leadingSpace(held))
    if (held === '') return false
    state = state === 'eatingAfterOpen' ? 'thinking' : 'done'
    return true
  }

  function lookForOpening(split: ThinkingSplit): boolean {
    const spaces = leadingSpace(held)
    if (spaces > 0) {
      leading += held.slice(0, spaces)
      held = held.slice(spaces)
    }
    if (held.startsWith(open)) {
      held = held.slice(open.length)
      leading = ''
      state = 'eatingAfterOpen'
      return true
    }
    if (open.startsWith(held)) return false
    split.rest += leading
    leading = ''
    state = 'done'
    return true
  }

  function think(split: ThinkingSplit): boolean {
    const end = held.indexOf(close)
    if (end >= 0) {
      split.thinking += held.slice(0, end)
      held = held.slice(end + close.length)
      state = 'eatingAfterClose'
      return true
    }
    const certain = held.length - partialTag(held, close)
    split.thinking += held.slice(0, certain)
    held = held.slice(certain)
    return false
  }

  return {
    push: (text) => {
      const split = { thinking: '', rest: '' }
      if (state === 'done') return { thinking: '', rest: text }
      held += text
      let more = true
      while (more) more = step(split)
      return split
    },
    end: () => {
      const split =
        state === 'thinking' ? { thinking: held, rest: '' } : { thinking: '', rest: leading + held }
      leading = held = ''
      return split
    },
  }
}
