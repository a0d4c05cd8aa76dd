import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { filterCandidates, type PolicyName, policies } from '../policy/index.ts'
import { createPredictor } from '../prediction/index.ts'
import { createPrefixIndex, idBlocks } from '../prefix/index.ts'
import { createDispatcher, type DispatchInstance, type DispatchRequest } from './index.ts'

function dispatcher(defaultPolicy: PolicyName = 'predicted_finish', lookAtAll?: number) {
  let seed = 1
  return createDispatcher({
    policies,
    defaultPolicy,
    filter: filterCandidates,
    prefix: createPrefixIndex({ budgetBytes: 2 ** 20, maxAgeMs: Number.POSITIVE_INFINITY }),
    blockTokens: 64,
    predictor: createPredictor(),
    random: () => {
      seed = (seed * 16807) % 2147483647
      return seed / 2147483647
    },
    ...(lookAtAll !== undefined && { lookAtAll }),
  })
}

function instance(id: number, changes: Partial<DispatchInstance> = {}): DispatchInstance {
  return {
    id,
    key: 'm',
    kind: 'engine on a card',
    deviceIds: [`gpu:${id}`],
    slots: 4,
    contextLength: 8192,
    kvTokens: 32_768,
    weight: 1,
    ...changes,
  }
}

let nextId = 1

function request(blockIds: readonly number[], changes: Partial<DispatchRequest> = {}): DispatchRequest {
  const promptTokens = blockIds.length * 64 + 10
  return {
    id: nextId++,
    key: 'm',
    tenant: 't',
    promptTokens,
    outputTokens: 50,
    shape: {
      model: 'm',
      tenant: 't',
      kind: 'chat',
      promptTokens,
      tools: false,
      format: false,
      thinking: false,
    },
    blocks: idBlocks(blockIds, 't', 64, promptTokens),
    ...changes,
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index)
const bestOf = (decision: ReturnType<ReturnType<typeof dispatcher>['decide']>) =>
  decision.ranked[0]?.candidate.id

describe('the dispatcher', () => {
  it('sends a conversation where its beginning was computed', () => {
    const one = dispatcher()
    for (const id of [1, 2, 3]) one.add(instance(id), 0)
    const first = request(range(0, 40))
    const decision = one.decide(first, { nowMs: 0 })
    one.started(first, 3, decision, 0)
    one.firstToken(first.id, 100)
    one.ended(first.id, { outcome: 'answered' }, 500)
    const next = one.decide(request(range(0, 44)), { nowMs: 1000 })
    expect(bestOf(next)).toBe(3)
    expect(next.ranked[0]?.candidate.cachedTokens).toBe(40 * 64)
    expect(next.predicted?.cachedTokens).toBe(40 * 64)
  })

  it('sends equal prompts that come together to one place, so that their beginning is computed once', () => {
    const one = dispatcher()
    for (const id of [1, 2, 3, 4]) one.add(instance(id), 0)
    const chosen = range(0, 3).map((last) => {
      const asked = request([...range(0, 100), 1000 + last])
      const decision = one.decide(asked, { nowMs: 0 })
      one.started(asked, bestOf(decision) ?? 0, decision, 0)
      return bestOf(decision)
    })
    expect(new Set(chosen).size).toBe(1)
  })

  it('does not find what another tenant has asked', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    const mine = request(range(0, 40))
    one.started(mine, 1, one.decide(mine, { nowMs: 0 }), 0)
    const theirs = request(range(0, 40), { blocks: idBlocks(range(0, 40), 'another', 64, 2570) })
    expect(one.decide(theirs, { nowMs: 1 }).ranked[0]?.candidate.cachedTokens).toBe(0)
  })

  it('counts what is yet to be computed, less what was done meanwhile', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    const first = request(range(0, 100))
    one.started(first, 1, one.decide(first, { nowMs: 0 }), 0)
    const work = (nowMs: number) => one.decide(request([]), { nowMs }).ranked[0]?.candidate
    expect(work(0)?.prefillTokens).toBe(6410)
    const rate = work(0)?.rates.prefillTokensPerS ?? 0
    expect(work(1000)?.prefillTokens).toBeCloseTo(Math.max(0, 6410 - rate), 3)
    one.firstToken(first.id, 2000)
    expect(work(2000)?.prefillTokens).toBe(0)
    expect(work(2000)?.running).toBe(1)
  })

  it('knows when the first of full slots will be free', () => {
    const one = dispatcher()
    one.add(instance(1, { slots: 1 }), 0)
    const first = request([1])
    one.started(first, 1, one.decide(first, { nowMs: 0 }), 0)
    one.firstToken(first.id, 10)
    const waitOf = () => one.decide(request([]), { nowMs: 20 }).ranked[0]?.candidate.slotWaitMs ?? 0
    expect(waitOf()).toBeGreaterThan(0)
    one.ended(first.id, { outcome: 'answered' }, 30)
    expect(waitOf()).toBe(0)
  })

  it('learns speeds from answers, and tells how wrong it was', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    for (let time = 0; time < 40; time++) {
      const asked = request(range(time * 1000, time * 1000 + 20))
      one.started(asked, 1, one.decide(asked, { nowMs: time * 1000 }), time * 1000)
      one.firstToken(asked.id, time * 1000 + 645)
      const usage = { promptTokens: 1290, cachedTokens: 0, outputTokens: 20, promptMs: 645, outputMs: 300 }
      one.ended(asked.id, { outcome: 'answered', usage }, time * 1000 + 945)
    }
    const rates = one.decide(request([]), { nowMs: 50_000 }).ranked[0]?.candidate.rates
    expect(rates?.source).toBe('measured')
    expect(rates?.prefillTokensPerS).toBeGreaterThan(1900)
    expect(rates?.prefillTokensPerS).toBeLessThan(2100)
  })

  it('learns the speed of an engine that computes several prompts at once, not of its share in each', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    for (let round = 0; round < 40; round++) {
      const startMs = round * 10_000
      // Four prompts of 1,290 tokens together take the 2.58 s that 5,160 tokens take at 2,000 a second.
      const four = range(0, 4).map((index) =>
        request(range(round * 400 + index * 100, round * 400 + index * 100 + 20)),
      )
      for (const asked of four) one.started(asked, 1, one.decide(asked, { nowMs: startMs }), startMs)
      for (const asked of four) one.firstToken(asked.id, startMs + 2580)
      const usage = { promptTokens: 1290, cachedTokens: 0, outputTokens: 20, promptMs: 2580, outputMs: 300 }
      for (const asked of four) one.ended(asked.id, { outcome: 'answered', usage }, startMs + 2900)
    }
    const rates = one.decide(request([]), { nowMs: 900_000 }).ranked[0]?.candidate.rates
    expect(rates?.prefillTokensPerS).toBeGreaterThan(1800)
    expect(rates?.prefillTokensPerS).toBeLessThan(2200)
  })

  it('believes an engine that has not found what was thought to be there', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    const first = request(range(0, 40))
    one.started(first, 1, one.decide(first, { nowMs: 0 }), 0)
    one.ended(first.id, { outcome: 'answered' }, 10)
    const older = one.decide(request(range(0, 40)), { nowMs: 20 })
    expect(older.ranked[0]?.candidate.cachedTokens).toBe(40 * 64)
    const second = request(range(0, 50))
    one.started(second, 1, one.decide(second, { nowMs: 30 }), 30)
    const usage = { promptTokens: 3210, cachedTokens: 0, outputTokens: 1, promptMs: 1000, outputMs: 10 }
    one.ended(second.id, { outcome: 'answered', usage }, 40)
    // It was computed anew, so it is there now.
    expect(one.decide(request(range(0, 50)), { nowMs: 50 }).ranked[0]?.candidate.cachedTokens).toBe(50 * 64)
  })

  it('forgets an instance with all it held, and no other', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    one.add(instance(2), 0)
    for (const id of [1, 2]) {
      const asked = request(range(0, 10))
      one.started(asked, id, one.decide(asked, { nowMs: 0 }), 0)
    }
    one.remove(1)
    const left = one.decide(request(range(0, 10)), { nowMs: 1 })
    expect(left.ranked.map(({ candidate }) => candidate.id)).toEqual([2])
    expect(left.ranked[0]?.candidate.cachedTokens).toBe(640)
    one.add(instance(1), 2)
    const again = one.decide(request(range(0, 10)), { nowMs: 3 })
    expect(again.ranked.find(({ candidate }) => candidate.id === 1)?.candidate.cachedTokens).toBe(0)
  })

  it('forgets what an engine has evicted, whose answers are long over, and nothing of those that are gone', () => {
    const one = dispatcher()
    one.add(instance(1), 0)
    const first = request(range(0, 20))
    one.started(first, 1, one.decide(first, { nowMs: 0 }), 0)
    one.ended(first.id, { outcome: 'answered' }, 500)
    const cachedAt = (nowMs: number) =>
      one.decide(request(range(0, 20)), { nowMs }).ranked[0]?.candidate.cachedTokens
    const { blocks = idBlocks([], 't', 64, 0) } = first
    one.cacheShrunk(1, blocks, 700, 600)
    expect(cachedAt(600)).toBe(640)
    one.cacheShrunk(1, blocks, 0, 700)
    expect(cachedAt(700)).toBe(0)
    one.remove(1)
    one.cacheShrunk(1, blocks, 640, 800)
    one.add(instance(1), 900)
    expect(cachedAt(900)).toBe(0)
  })

  it('finds the holder of a prefix, and an idle instance, among a thousand', () => {
    const one = dispatcher()
    for (const id of range(1, 1001)) one.add(instance(id), 0)
    const long = request(range(0, 200))
    one.started(long, 777, one.decide(long, { nowMs: 0 }), 0)
    one.firstToken(long.id, 1)
    one.ended(long.id, { outcome: 'answered' }, 2)
    expect(bestOf(one.decide(request(range(0, 200)), { nowMs: 3 }))).toBe(777)
    for (const id of range(1, 1000)) {
      const busy = request([id * 1000])
      one.started(busy, id, one.decide(busy, { nowMs: 4 }), 4)
    }
    expect(bestOf(one.decide(request([5_000_000]), { nowMs: 4 }))).toBe(1000)
  })

  it('takes of a thousand the one that a pinned request names', () => {
    const one = dispatcher()
    for (const id of range(1, 1001)) one.add(instance(id), 0)
    expect(bestOf(one.decide(request([1], { needs: { pins: ['#613'] } }), { nowMs: 0 }))).toBe(613)
    const none = one.decide(request([1], { needs: { pins: ['#5000'] } }), { nowMs: 0 })
    expect(none.ranked).toEqual([])
    expect(none.excluded).toHaveLength(1000)
  })

  it('finds of each kind of device the idlest, however many idle ones of another kind there are', () => {
    const one = dispatcher()
    const slow = { kind: 'slow', modelBytes: 8e9, memoryBytesPerS: 1e11, flopsPerS: 1e12 }
    const fast = { kind: 'fast', modelBytes: 8e9, memoryBytesPerS: 4e12, flopsPerS: 4e14 }
    for (const id of range(1, 101)) one.add(instance(id, slow), 0)
    for (const id of range(101, 111)) one.add(instance(id, fast), 0)
    for (const id of range(101, 111)) {
      const busy = request([id * 1000])
      one.started(busy, id, one.decide(busy, { nowMs: 0 }), 0)
    }
    expect(bestOf(one.decide(request(range(0, 100)), { nowMs: 1 }))).toBeGreaterThan(100)
  })

  it('chooses by looking at a few as by looking at all, while some are idle', () => {
    const event = fc.oneof(
      fc.record({
        type: fc.constant('ask' as const),
        talk: fc.nat(8),
        blocks: fc.integer({ min: 1, max: 30 }),
        outputTokens: fc.integer({ min: 1, max: 500 }),
      }),
      fc.record({ type: fc.constant('first' as const) }),
      fc.record({ type: fc.constant('end' as const), which: fc.nat(100) }),
    )
    fc.assert(
      fc.property(fc.integer({ min: 40, max: 80 }), fc.array(event, { maxLength: 30 }), (count, events) => {
        const few = dispatcher('predicted_finish', 0)
        const all = dispatcher('predicted_finish', Number.POSITIVE_INFINITY)
        const both = [few, all]
        for (const id of range(1, count + 1))
          for (const one of both) one.add(instance(id, { kvTokens: 400_000 }), 0)
        const running: DispatchRequest[] = []
        let nowMs = 0
        for (const what of events) {
          nowMs += 50
          if (what.type === 'ask') {
            const { talk, blocks, outputTokens } = what
            const asked = request(range(talk * 1000, talk * 1000 + blocks), { outputTokens })
            const decision = all.decide(asked, { nowMs })
            const chosen = bestOf(decision) ?? 0
            expect(bestOf(few.decide(asked, { nowMs }))).toBe(chosen)
            for (const one of both) one.started(asked, chosen, decision, nowMs)
            running.push(asked)
          } else if (what.type === 'first') {
            const id = running.at(-1)?.id ?? 0
            for (const one of both) one.firstToken(id, nowMs)
          } else {
            const [ended] = running.splice(what.which % Math.max(1, running.length), 1)
            for (const one of both) one.ended(ended?.id ?? 0, { outcome: 'answered' }, nowMs)
          }
        }
      }),
      { numRuns: 40 },
    )
  })

  it('never ranks an instance that may not be taken, whatever happens, however many there are', () => {
    const event = fc.oneof(
      fc.record({ type: fc.constant('ask' as const), blocks: fc.array(fc.nat(20), { maxLength: 8 }) }),
      fc.record({ type: fc.constant('first' as const) }),
      fc.record({ type: fc.constant('end' as const) }),
      fc.record({ type: fc.constant('remove' as const), id: fc.integer({ min: 1, max: 100 }) }),
    )
    fc.assert(
      fc.property(
        fc.constantFrom(...(Object.keys(policies) as PolicyName[])),
        fc.integer({ min: 1, max: 100 }),
        fc.array(event, { maxLength: 60 }),
        (policy, count, events) => {
          const one = dispatcher(policy)
          const live = new Set(range(1, count + 1))
          for (const id of live) one.add(instance(id, { slots: 1 + (id % 3) }), 0)
          const running: DispatchRequest[] = []
          let nowMs = 0
          for (const what of events) {
            nowMs += 10
            if (what.type === 'ask') {
              const asked = request(what.blocks)
              const accepts = (id: number) => id % 2 === 0
              const decision = one.decide(asked, { nowMs, accepts })
              const ids = decision.ranked.map(({ candidate }) => candidate.id)
              expect(new Set(ids).size).toBe(ids.length)
              for (const id of ids) {
                expect(id % 2).toBe(0)
                expect(live.has(id)).toBe(true)
              }
              if (ids[0] === undefined) continue
              one.started(asked, ids[0], decision, nowMs)
              running.push(asked)
            } else if (what.type === 'first') {
              one.firstToken(running[0]?.id ?? 0, nowMs)
            } else if (what.type === 'end') {
              one.ended(running.shift()?.id ?? 0, { outcome: 'answered' }, nowMs)
            } else {
              live.delete(what.id)
              one.remove(what.id)
            }
          }
        },
      ),
      { numRuns: 200 },
    )
  })
})
