import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { type Draft, draftOf, edit, emptyDraft, textOf } from './edit.ts'
import { editExternally } from './external-editor.ts'
import { openHistory } from './history.ts'
import { createKeyReader, type Key } from './keys.ts'
import { layOut } from './layout.ts'
import { textWidth } from './width.ts'

const folder = mkdtempSync(join(tmpdir(), 'drover-terminal-'))
afterAll(() => rmSync(folder, { recursive: true }))

const keysOf = (text: string) => createKeyReader()(text)

/** The draft after what a terminal sends; the cursor as `|`. */
function type(sent: string, history: string[] = []): string {
  let draft = emptyDraft(history.length)
  for (const key of keysOf(sent)) draft = edit(draft, key, history)
  const before = draft.line.slice(0, draft.cursor).join('')
  return [...draft.above, `${before}|${draft.line.slice(draft.cursor).join('')}`].join('\n')
}

describe('keys', () => {
  it('are read whole when their sequences come in pieces', () => {
    const read = createKeyReader()
    expect([...read('a\u001b'), ...read('['), ...read('1;5'), ...read('Db')]).toEqual([
      { text: 'a' },
      { name: 'word-left' },
      { text: 'b' },
    ])
  })

  it('that mean nothing are dropped', () => {
    expect(keysOf('a\u001b[5~\u001bz\u0000\u001b[99;1Xb')).toEqual([{ text: 'a' }, { text: 'b' }])
  })

  it('tell Ctrl-J from the end of a line that was typed before the terminal was read', () => {
    expect(keysOf('\n')).toEqual([{ name: 'newline' }])
    expect(keysOf('hi\n')).toEqual([{ text: 'hi' }, { name: 'enter' }])
  })

  it('come out the same however the bytes are cut', () => {
    const pieces = fc.array(
      fc.constantFrom('a', 'é', '\u001b[A', '\u001b[3~', '\u001bb', '\u0015', '東', '\r'),
    )
    fc.assert(
      fc.property(pieces, fc.array(fc.nat(40)), (parts, cuts) => {
        const text = parts.join('')
        const places = [...new Set([0, ...cuts.map((cut) => cut % (text.length + 1)), text.length])].sort(
          (a, b) => a - b,
        )
        const read = createKeyReader()
        const keys = places.slice(1).flatMap((end, index) => read(text.slice(places[index], end)))
        const flat = (all: Key[]) => all.map((key) => ('text' in key ? key.text : `<${key.name}>`)).join('')
        expect(flat(keys)).toBe(flat(keysOf(text)))
      }),
    )
  })
})

describe('a line', () => {
  it.each([
    ['abc\u001b[D\u001b[DX', 'aX|bc'],
    ['abc\u0001X\u0005Y', 'Xabc' + 'Y|'],
    ['one two\u0017', 'one |'],
    ['one two  \u0017', 'one |'],
    ['one two\u001bb\u000b', 'one |'],
    ['one two\u001bb\u0015', '|two'],
    ['one two\u0001\u001bf\u001bf!', 'one two!|'],
    ['abc\u0002\u0004', 'ab|'],
    ['abc\u0001\u001b[3~', '|bc'],
    ['a\u007f\u007fb', 'b|'],
    ['\tx', '        x|'],
    ['e\u0301x\u007f\u007f', '|'],
  ])('after %j is %j', (sent, line) => {
    expect(type(sent)).toBe(line)
  })

  it('is broken by Ctrl-J, and joined again by backspace', () => {
    const draft = ['ab', '\n', 'c'].flatMap(keysOf).reduce<Draft>((d, key) => edit(d, key, []), emptyDraft(0))
    expect(textOf(draft)).toBe('ab\nc')
    const back = keysOf('\u007f\u007f').reduce((d, key) => edit(d, key, []), draft)
    expect(textOf(back)).toBe('ab')
  })

  it('takes what is pasted as it is, line ends and all', () => {
    expect(type('say \u001b[200~one\r/bye\r\u001b[201~two')).toBe('say one\n/bye\ntwo|')
  })

  it('walks through the history and comes back to what was typed', () => {
    const history = ['first', 'second\nline']
    expect(type('typed\u001b[A', history)).toBe('second\nline|')
    expect(type('typed\u001b[A\u001b[A\u001b[A', history)).toBe('first|')
    expect(type('typed\u0010\u0010\u000e\u000e\u000e', history)).toBe('typed|')
  })
})

describe('the rows of a draft', () => {
  const prompts = { first: '>>> ', more: '... ' }

  it('are broken where the terminal ends, wide characters kept whole', () => {
    expect(layOut(draftOf('abcdefgh', emptyDraft(0)), prompts, 10)).toEqual({
      rows: ['>>> abcde', '... fgh'],
      cursorRow: 1,
      cursorColumn: 7,
    })
    expect(layOut(draftOf('東京都', emptyDraft(0)), prompts, 10).rows).toEqual(['>>> 東京', '... 都'])
  })

  it('fit the terminal and lose nothing, whatever is typed', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '東', '\n', '👍🏽', 'é') }), (text) => {
        const { rows, cursorRow, cursorColumn } = layOut(draftOf(text, emptyDraft(0)), prompts, 20)
        for (const row of rows) expect(textWidth(row)).toBeLessThan(20)
        expect(rows.map((row) => row.slice(4)).join('')).toBe(text.replaceAll('\n', ''))
        expect([cursorRow, cursorColumn]).toEqual([rows.length - 1, textWidth(rows.at(-1) ?? '')])
      }),
    )
  })
})

describe('the history', () => {
  const path = join(folder, 'new', 'history')

  it('is kept in a file that only its owner reads, the newest hundred', () => {
    const history = openHistory(path, () => undefined)
    for (let index = 0; index < 120; index++) history.add(`line ${index}`)
    const lines = readFileSync(path, 'utf8').split('\n')
    expect([lines.length, lines[0], lines.at(-2)]).toEqual([101, 'line 20', 'line 119'])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(openHistory(path, () => undefined).lines.at(-1)).toBe('line 119')
  })

  it('is not written when it is off, and yet there while the program runs', () => {
    const history = openHistory(path, () => undefined)
    history.enabled = false
    history.add('secret')
    expect(history.lines.at(-1)).toBe('secret')
    expect(readFileSync(path, 'utf8')).not.toContain('secret')
  })

  it('that cannot be written is told of once', () => {
    writeFileSync(join(folder, 'file'), '')
    const warnings: string[] = []
    const history = openHistory(join(folder, 'file', 'history'), (text) => warnings.push(text))
    history.add('a')
    history.add('b')
    expect(warnings).toHaveLength(1)
    expect(history.lines).toEqual(['a', 'b'])
  })
})

describe('the external editor', () => {
  it('gets the text and gives back what it became', async () => {
    const script = join(folder, 'editor.sh')
    writeFileSync(script, '#!/bin/sh\nprintf \'%s, edited\\n\\n\' "$(cat "$2")" > "$2"\n', { mode: 0o755 })
    expect(await editExternally('draft', { OLLAMA_EDITOR: `${script} --wait` })).toBe('draft, edited')
  })

  it('is named when it is not there, or fails', async () => {
    await expect(editExternally('x', { EDITOR: 'no-such-editor' })).rejects.toThrow(
      'editor "no-such-editor" not found, set OLLAMA_EDITOR to the path of your preferred editor',
    )
    await expect(editExternally('x', { VISUAL: 'false' })).rejects.toThrow('exit status 1')
  })
})
