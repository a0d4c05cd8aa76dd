import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createEventSplitter, type ServerEvent } from './client.ts'

function split(bytes: Buffer, cuts: readonly number[]): ServerEvent[] {
  const events: ServerEvent[] = []
  const push = createEventSplitter()
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b)
  let from = 0
  for (const to of [...places, bytes.length]) {
    push(bytes.subarray(from, to), events)
    from = to
  }
  return events
}

describe('the splitter of server-sent events', () => {
  it('gives the same events however the bytes are cut, inside characters too', () => {
    const event = fc.record({ content: fc.string({ unit: 'grapheme' }), tokens: fc.array(fc.nat()) })
    fc.assert(
      fc.property(fc.array(event), fc.array(fc.nat()), (events, cuts) => {
        const bytes = Buffer.from(events.map((data) => `data: ${JSON.stringify(data)}\n\n`).join(''))
        expect(split(bytes, cuts)).toEqual(events)
      }),
    )
  })

  it('passes over pings, other fields and the end mark', () => {
    const text = ': ping\n\nevent: x\ndata: {"a":1}\n\ndata: [DONE]\n\ndata: {"unfinished":'
    expect(split(Buffer.from(text), [])).toEqual([{ a: 1 }])
  })
})
