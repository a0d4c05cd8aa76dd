import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { InferenceEvent, ToolCall } from '../../inference/index.ts'
import { done } from '../testing/double.ts'
import { createMessageEncoder, messageJson, newId } from './encode.ts'

const facts = (searches: boolean) => ({
  id: newId('msg'),
  requestId: newId('req'),
  model: 'tiny',
  stopSequences: [],
  searches,
})

const call: fc.Arbitrary<ToolCall> = fc.record({
  id: fc.string(),
  function: fc.record({
    index: fc.nat(),
    name: fc.constantFrom('f', 'web_search'),
    arguments: fc.dictionary(fc.string(), fc.jsonValue()),
  }),
})

const piece: fc.Arbitrary<Exclude<InferenceEvent, { type: 'done' }>> = fc.oneof(
  fc.record({ type: fc.constant('token' as const), text: fc.string({ unit: 'binary' }) }),
  fc.record({ type: fc.constant('thinking' as const), text: fc.string({ unit: 'binary' }) }),
  fc.record({ type: fc.constant('toolCall' as const), call }),
)

interface Block {
  type: string
  text?: string
  thinking?: string
  name?: string
  input?: unknown
  json?: string
}

/** What a client makes of a stream. Throws where the order of its events is wrong. */
function assemble(stream: string): { blocks: Block[]; types: string[] } {
  const blocks: Block[] = []
  const types: string[] = []
  let open = false
  for (const text of stream.split('\n\n').slice(0, -1)) {
    const data = JSON.parse(text.slice(text.indexOf('\ndata: ') + 7))
    expect(text.startsWith(`event: ${data.type}\n`)).toBe(true)
    types.push(data.type)
    if (data.type === 'content_block_start') {
      expect([open, data.index]).toEqual([false, blocks.length])
      blocks.push({ ...data.content_block, json: '' })
      open = true
    } else if (data.type === 'content_block_stop' || data.type === 'content_block_delta') {
      expect([open, data.index]).toEqual([true, blocks.length - 1])
      if (data.type === 'content_block_stop') open = false
      else extend(blocks.at(-1), data.delta)
    }
  }
  expect(open).toBe(false)
  return { blocks, types }
}

function extend(
  block: Block | undefined,
  delta: { text?: string; thinking?: string; partial_json?: string },
) {
  if (!block) return
  if (delta.text !== undefined) block.text += delta.text
  if (delta.thinking !== undefined) block.thinking += delta.thinking
  if (delta.partial_json !== undefined) block.input = JSON.parse(delta.partial_json)
}

const joined = (blocks: Block[], member: 'text' | 'thinking') =>
  blocks.map((block) => block[member] ?? '').join('')
const calls = (blocks: Block[]) =>
  blocks.filter(({ name }) => name !== undefined).map(({ type, name, input }) => ({ type, name, input }))

describe('any answer', () => {
  it('is a well-formed stream that loses nothing, and says the same whole', () => {
    fc.assert(
      fc.property(fc.array(piece), fc.boolean(), (pieces, searches) => {
        const encoder = createMessageEncoder(facts(searches), 5)
        const { blocks, types } = assemble([...pieces, done()].map((event) => encoder.event(event)).join(''))
        expect(types[0]).toBe('message_start')
        expect(types.slice(-2)).toEqual(['message_delta', 'message_stop'])
        const said = (type: 'token' | 'thinking') =>
          pieces.map((event) => (event.type === type ? event.text : '')).join('')
        expect(joined(blocks, 'text')).toBe(said('token'))
        expect(joined(blocks, 'thinking')).toBe(said('thinking'))
        const toolCalls = pieces.flatMap((event) => (event.type === 'toolCall' ? [event.call] : []))
        const answer = {
          text: said('token'),
          thinking: said('thinking'),
          toolCalls,
          logprobs: [],
          done: done(),
        }
        const whole: Block[] = JSON.parse(messageJson(facts(searches), answer)).content
        expect(calls(whole)).toEqual(calls(blocks))
        expect(joined(whole, 'text')).toBe(joined(blocks, 'text'))
        expect(joined(whole, 'thinking')).toBe(joined(blocks, 'thinking'))
      }),
    )
  })
})
