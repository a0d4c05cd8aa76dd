import { expect, it } from 'vitest'
import { take } from './repl.ts'

const typed = (text: string) => take({ text, pasted: false })

it.each([
  ['hello', { message: 'hello' }],
  ['', { message: '' }],
  ['/bye', { command: '/bye' }],
  ['/set system', { command: '/set system' }],
  ['/set system Be brief.', { system: 'Be brief.' }],
  ['/set system """Be brief."""', { system: 'Be brief.' }],
  ['/set system """Be', { multiline: { text: 'Be\n', for: 'system' } }],
  ['"""one\ntwo"""', { message: 'one\ntwo' }],
  ['"""one', { multiline: { text: 'one\n', for: 'message' } }],
  ['"""', { multiline: { text: '\n', for: 'message' } }],
])('takes %j for what it is', (text, taken) => {
  expect(typed(text)).toEqual(taken)
})

it('goes on with a text between quotes until they are closed', () => {
  const open = { text: 'one\n', for: 'message' } as const
  expect(take({ text: '/bye', pasted: false }, open)).toEqual({ multiline: { ...open, text: 'one\n/bye\n' } })
  expect(take({ text: 'end"""', pasted: false }, open)).toEqual({ message: 'one\nend' })
  expect(take({ text: '"""', pasted: false }, { ...open, for: 'system' })).toEqual({ system: 'one\n' })
})

it('takes what is pasted in several lines for a message, whatever it begins with', () => {
  expect(take({ text: '/path\n/other', pasted: true })).toEqual({ message: '/path\n/other' })
})
