/** What somebody typed. */
export type Key = { text: string } | { name: KeyName }

export type KeyName =
  | 'enter'
  | 'newline'
  | 'interrupt'
  | 'delete-or-end'
  | 'suspend'
  | 'editor'
  | 'clear-screen'
  | 'up'
  | 'down'
  | 'left'
  | 'right'
  | 'word-left'
  | 'word-right'
  | 'line-start'
  | 'line-end'
  | 'backspace'
  | 'delete'
  | 'delete-word'
  | 'delete-before'
  | 'delete-after'
  | 'tab'
  | 'paste-start'
  | 'paste-end'

const control: Record<string, KeyName> = {
  '\u0001': 'line-start',
  '\u0002': 'left',
  '\u0003': 'interrupt',
  '\u0004': 'delete-or-end',
  '\u0005': 'line-end',
  '\u0006': 'right',
  '\u0007': 'editor',
  '\u0008': 'backspace',
  '\t': 'tab',
  '\u000b': 'delete-after',
  '\u000c': 'clear-screen',
  '\r': 'enter',
  '\u000e': 'down',
  '\u0010': 'up',
  '\u0015': 'delete-before',
  '\u0017': 'delete-word',
  '\u001a': 'suspend',
  '\u007f': 'backspace',
}

/** What follows ESC: alt with a letter, or a control sequence. */
const escapes: Record<string, KeyName> = {
  b: 'word-left',
  f: 'word-right',
  '\u007f': 'delete-word',
  '[A': 'up',
  '[B': 'down',
  '[C': 'right',
  '[D': 'left',
  '[H': 'line-start',
  '[F': 'line-end',
  '[1~': 'line-start',
  '[4~': 'line-end',
  '[7~': 'line-start',
  '[8~': 'line-end',
  '[3~': 'delete',
  '[1;5C': 'word-right',
  '[1;5D': 'word-left',
  '[1;3C': 'word-right',
  '[1;3D': 'word-left',
  OA: 'up',
  OB: 'down',
  OC: 'right',
  OD: 'left',
  OH: 'line-start',
  OF: 'line-end',
  '[200~': 'paste-start',
  '[201~': 'paste-end',
}

const esc = '\u001b'
/** What follows ESC: a control sequence (ECMA-48), one of the older `ESC O` sort, or one character; whole or begun. */
const whole = /^(?:\[[0-?]*[ -/]*[@-~]|O[A-Z]|[^[O])/
const begun = /^(?:\[[0-?]*[ -/]*|O)?$/
const typed = /^\P{Cc}+/u

/**
 * Takes what a terminal in raw mode sends, in pieces as they come, and gives the keys. Sequences that mean nothing here
 * are dropped. A line feed alone is Ctrl-J; within other text it ends a line that was typed while the terminal was not
 * raw, so it is Enter.
 */
export function createKeyReader(): (chunk: string) => Key[] {
  let rest = ''
  return (chunk) => {
    const keys: Key[] = []
    const lineFeed: KeyName = chunk === '\n' ? 'newline' : 'enter'
    let text = rest + chunk
    rest = ''
    while (text !== '') {
      const next = text.startsWith(esc) ? readEscape(text) : readPlain(text, lineFeed)
      if (!next) {
        rest = text
        break
      }
      if (next.key) keys.push(next.key)
      text = text.slice(next.length)
    }
    return keys
  }
}

interface Taken {
  key?: Key | undefined
  length: number
}

/** Undefined when more has to come. */
function readEscape(text: string): Taken | undefined {
  const after = text.slice(1)
  if (begun.test(after)) return undefined
  const [code = ''] = whole.exec(after) ?? []
  const name = escapes[code]
  return { key: name && { name }, length: 1 + code.length }
}

function readPlain(text: string, lineFeed: KeyName): Taken {
  const [run] = typed.exec(text) ?? []
  if (run !== undefined) return { key: { text: run }, length: run.length }
  const [first = ''] = text
  const name = first === '\n' ? lineFeed : control[first]
  return { key: name && { name }, length: text.startsWith('\r\n') ? 2 : 1 }
}
