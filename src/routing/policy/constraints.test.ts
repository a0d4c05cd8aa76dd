import { describe, expect, it } from 'vitest'
import type { Candidate, RouteRequest } from './contract.ts'
import { filterCandidates } from './index.ts'
import { candidate, request } from './testing.ts'

/** Why this candidate is excluded; undefined when it is kept. */
function reason(facts: Partial<Candidate>, asked: Partial<RouteRequest>): string | undefined {
  const { kept, excluded } = filterCandidates(request(asked), [candidate(3, facts)])
  expect(kept.length + excluded.length).toBe(1)
  return excluded[0]?.reason
}

describe('filterCandidates', () => {
  it('keeps the order of those it keeps, and names those it does not', () => {
    const fleet = [candidate(5), candidate(2, { health: 0 }), candidate(1)]
    const { kept, excluded } = filterCandidates(request(), fleet)
    expect(kept.map(({ id }) => id)).toEqual([5, 1])
    expect(excluded).toEqual([{ id: 2, reason: expect.stringContaining('not healthy') }])
  })

  it('keeps everything for a request that asks for nothing', () => {
    expect(reason({}, {})).toBeUndefined()
    expect(reason({}, { needs: {} })).toBeUndefined()
    expect(reason({}, { needs: { pins: [], capabilities: [], labels: {} } })).toBeUndefined()
  })

  it('excludes what is not healthy at all, and keeps what is a little', () => {
    expect(reason({ health: 0 }, {})).toMatch(/not healthy/)
    expect(reason({ health: Number.NaN }, {})).toMatch(/not healthy/)
    expect(reason({ health: 0.1 }, {})).toBeUndefined()
  })

  it('serves a smaller request with a larger context, never the other way round', () => {
    expect(reason({ contextLength: 32_768 }, { contextTokens: 4096 })).toBeUndefined()
    expect(reason({ contextLength: 4096 }, { contextTokens: 4096 })).toBeUndefined()
    expect(reason({ contextLength: 4096 }, { contextTokens: 8192 })).toBe(
      'The request needs a context of 8192 tokens; a slot has 4096.',
    )
  })

  it('asks for memory for the whole context, or for what a prompt is cut to where any context will do', () => {
    expect(reason({ kvTokens: 4000 }, { contextTokens: 4096 })).toBe(
      'The request may hold 4096 tokens in the KV cache; there is memory for 4000.',
    )
    expect(reason({ kvTokens: 4096, contextLength: 4096 }, { promptTokens: 50_000 })).toBeUndefined()
    expect(reason({ kvTokens: 4000, contextLength: 4096 }, { promptTokens: 50_000 })).toMatch(
      /memory for 4000/,
    )
  })

  it('goes by device or by instance where the request is pinned', () => {
    const split = { deviceIds: ['gpu-0', 'gpu-1'] }
    expect(reason(split, { needs: { pins: ['gpu-1'] } })).toBeUndefined()
    expect(reason(split, { needs: { pins: ['#3'] } })).toBeUndefined()
    expect(reason(split, { needs: { pins: ['gpu-2', '#4'] } })).toBe(
      'The request is pinned to gpu-2, #4; this is #3 on gpu-0, gpu-1.',
    )
  })

  it('keeps a reserved instance for its tenants', () => {
    expect(reason({ tenants: ['anna'] }, { tenant: 'anna' })).toBeUndefined()
    expect(reason({ tenants: ['ben', 'carl'] }, { tenant: 'anna' })).toBe(
      "It is reserved for ben, carl; the request is from 'anna'.",
    )
    expect(reason({ tenants: [] }, {})).toMatch(/reserved for nobody/)
  })

  it('excludes on a need that no fact answers', () => {
    expect(reason({}, { needs: { precision: 'bf16' } })).toBe(
      'The request needs bf16; the precision of its computing is not known.',
    )
    expect(reason({}, { needs: { capabilities: ['vision'] } })).toMatch(/needs vision.*not known/)
    expect(reason({}, { needs: { labels: { room: 'lab' } } })).toMatch(/room=lab.*no such label/)
    expect(reason({}, { needs: { maxWatts: 100 } })).toMatch(/100 W.*not known/)
    expect(reason({}, { needs: { maxCostPerMillionTokens: 2 } })).toMatch(/2 per million.*not known/)
  })

  it('tells precisions apart', () => {
    const half = { precisions: ['fp16', 'fp32'] as const }
    expect(reason(half, { needs: { precision: 'fp16' } })).toBeUndefined()
    expect(reason(half, { needs: { precision: 'bf16' } })).toBe(
      'The request needs bf16; it computes in fp16, fp32.',
    )
  })

  it('wants every capability and every label', () => {
    const facts = { capabilities: ['tools'], labels: { room: 'lab', owner: 'anna' } }
    expect(reason(facts, { needs: { capabilities: ['tools'], labels: { room: 'lab' } } })).toBeUndefined()
    expect(reason(facts, { needs: { capabilities: ['tools', 'vision'] } })).toBe(
      'The request needs vision; what it can do is tools.',
    )
    expect(reason(facts, { needs: { labels: { room: 'lab', owner: 'ben' } } })).toBe(
      'The request needs the label owner=ben; it has owner=anna.',
    )
  })

  it('does not find labels that every object has', () => {
    expect(reason({ labels: {} }, { needs: { labels: { constructor: 'x' } } })).toMatch(/no such label/)
  })

  it('keeps to limits of watts and cost, the limit itself included', () => {
    expect(reason({ watts: 300 }, { needs: { maxWatts: 300 } })).toBeUndefined()
    expect(reason({ watts: 350 }, { needs: { maxWatts: 300 } })).toBe(
      'The request may draw 300 W; it draws 350 W.',
    )
    expect(reason({ costPerMillionTokens: 2 }, { needs: { maxCostPerMillionTokens: 2 } })).toBeUndefined()
    expect(reason({ costPerMillionTokens: 3 }, { needs: { maxCostPerMillionTokens: 2 } })).toBe(
      'The request may cost 2 per million tokens; its price is 3.',
    )
  })
})
