import { describe, expect, it } from 'vitest'
import { policies } from './index.ts'
import { candidate, choices, orderOf, rates, request, seeded } from './testing.ts'

describe('predicted_finish', () => {
  it('goes to the cache when the queue there costs less than computing anew', () => {
    // 3000 of 4000 tokens are cached at 0: 3 s saved, against half a second of queue.
    const fleet = [
      candidate(0, { cachedTokens: 3000, running: 1, prefilling: 1, prefillTokens: 500 }),
      candidate(1),
    ]
    expect(orderOf('predicted_finish', fleet)).toEqual([0, 1])
  })

  it('leaves the cache when the queue there is longer than what it saves', () => {
    const fleet = [
      candidate(0, { cachedTokens: 1000, running: 2, prefilling: 2, prefillTokens: 30_000 }),
      candidate(1),
    ]
    expect(orderOf('predicted_finish', fleet)).toEqual([1, 0])
  })

  it('keeps to the cache at a price that it would not pay in an idle fleet, where everybody waits', () => {
    const holder = candidate(0, { cachedTokens: 2000, running: 1, prefilling: 1, prefillTokens: 6000 })
    const idle = [holder, candidate(1), candidate(2), candidate(3)]
    expect(orderOf('predicted_finish', idle)[0]).not.toBe(0)
    const busy = idle.map((one) => ({
      ...one,
      running: 3,
      prefilling: 3,
      prefillTokens: one.prefillTokens + 6000,
    }))
    expect(orderOf('predicted_finish', busy)[0]).toBe(0)
  })

  it('does so too where answers would stall for what is computed anew', () => {
    const holder = candidate(0, { cachedTokens: 2000, running: 1, prefilling: 1, prefillTokens: 6000 })
    const busy = [holder, candidate(1), candidate(2)].map((one) => ({ ...one, running: one.running + 6 }))
    expect(orderOf('predicted_finish', busy)[0]).toBe(0)
  })

  it('waits for a slot rather than for a model to load, when that is sooner', () => {
    const fleet = [candidate(0, { loadingMs: 20_000 }), candidate(1, { slotWaitMs: 3000, running: 8 })]
    expect(orderOf('predicted_finish', fleet)).toEqual([1, 0])
    const longer = [candidate(0, { loadingMs: 2000 }), candidate(1, { slotWaitMs: 30_000, running: 8 })]
    expect(orderOf('predicted_finish', longer)).toEqual([0, 1])
  })

  it('counts queued prompts and the wait for a slot once where they pass at the same time', () => {
    const ranked = policies.predicted_finish.rank(
      request(),
      [candidate(0, { slotWaitMs: 3000, prefillTokens: 5000 })],
      { nowMs: 0, random: () => 0 },
    )
    expect(ranked[0]?.terms).toMatchObject({ slotWait: 3000, queued: 2000 })
  })

  it('sends long answers to a fast decoder and long prompts to a fast prefiller', () => {
    const fleet = [
      candidate(0, { rates: rates({ prefillTokensPerS: 4000, decodeBaseMs: 60 }) }),
      candidate(1, { rates: rates({ prefillTokensPerS: 500, decodeBaseMs: 5 }) }),
    ]
    expect(orderOf('predicted_finish', fleet, { promptTokens: 20_000, outputTokens: 10 })[0]).toBe(0)
    expect(orderOf('predicted_finish', fleet, { promptTokens: 100, outputTokens: 2000 })[0]).toBe(1)
  })

  it('takes a cache from disk where that is quicker than computing', () => {
    const onDisk = { cachedTokens: 3900 }
    const near = [candidate(0), candidate(1, { ...onDisk, restoreMs: 50 })]
    expect(orderOf('predicted_finish', near)[0]).toBe(1)
    const slow = [candidate(0), candidate(1, { ...onDisk, restoreMs: 60_000 })]
    expect(orderOf('predicted_finish', slow)[0]).toBe(0)
  })

  it('shies away from a KV cache that is nearly full', () => {
    const fleet = [candidate(0, { activeTokens: 190_000 }), candidate(1, { activeTokens: 20_000 })]
    expect(orderOf('predicted_finish', fleet)[0]).toBe(1)
  })

  it('counts the way there, and what fails there has to be tried again', () => {
    expect(orderOf('predicted_finish', [candidate(0, { networkMs: 80 }), candidate(1)])[0]).toBe(1)
    expect(orderOf('predicted_finish', [candidate(0, { health: 0.5 }), candidate(1)])[0]).toBe(1)
  })
})

describe('round_robin', () => {
  it('takes each in turn, however much it has to do', () => {
    const fleet = [candidate(0, { running: 7 }), candidate(1), candidate(2)]
    expect(choices('round_robin', fleet, 7)).toEqual([0, 1, 2, 0, 1, 2, 0])
  })
})

describe('weighted_round_robin', () => {
  it('spreads the turns of the heavier one', () => {
    const fleet = [candidate(0, { weight: 3 }), candidate(1)]
    expect(choices('weighted_round_robin', fleet, 8)).toEqual([0, 0, 1, 0, 0, 0, 1, 0])
  })

  it('gives half the turns to who is half as healthy', () => {
    const fleet = [candidate(0), candidate(1, { health: 0.5 })]
    const chosen = choices('weighted_round_robin', fleet, 300)
    expect(chosen.filter((id) => id === 1)).toHaveLength(100)
  })
})

describe('least_loaded', () => {
  it('takes the one with the fewest requests', () => {
    const fleet = [candidate(0, { running: 3 }), candidate(1, { running: 1 }), candidate(2, { running: 2 })]
    expect(orderOf('least_loaded', fleet)).toEqual([1, 2, 0])
  })

  it('does not mistake an instance that still loads for an idle one', () => {
    const fleet = [candidate(0, { running: 6 }), candidate(1, { loadingMs: 30_000 })]
    expect(orderOf('least_loaded', fleet)).toEqual([0, 1])
  })
})

describe('least_effective_load', () => {
  it('gives a device four times as fast the work until it is behind', () => {
    const fast = rates({ prefillTokensPerS: 4000, decodeBaseMs: 2.5, decodePerRequestMs: 0.25 })
    const with4 = { running: 4, prefilling: 1, prefillTokens: 4000 }
    expect(orderOf('least_effective_load', [candidate(0), candidate(1, { rates: fast, ...with4 })])[0]).toBe(
      1,
    )
    const with40 = { running: 40, prefilling: 10, prefillTokens: 40_000 }
    expect(orderOf('least_effective_load', [candidate(0), candidate(1, { rates: fast, ...with40 })])[0]).toBe(
      0,
    )
  })
})

describe('power_of_two', () => {
  it('takes the one of the two it draws that has fewer requests, idler ones that were not drawn notwithstanding', () => {
    const fleet = [candidate(0, { running: 5 }), candidate(1, { running: 3 }), candidate(2)]
    const draws = [0, 0]
    const random = () => draws.shift() ?? 0
    expect(orderOf('power_of_two', fleet, {}, { nowMs: 0, random })).toEqual([1, 0, 2])
  })

  it('draws every pair alike, and never the same one twice', () => {
    const fleet = [0, 1, 2, 3].map((id) => candidate(id, { running: id }))
    const random = seeded(7)
    const best = [0, 0, 0, 0]
    for (let draw = 0; draw < 6000; draw++) {
      const [id = -1] = orderOf('power_of_two', fleet, {}, { nowMs: 0, random })
      best[id] = (best[id] ?? 0) + 1
    }
    // Of 6 pairs 3 have the idlest one, 2 the next, 1 the third; the busiest never wins.
    expect(best.map((count) => Math.round(count / 200) * 200)).toEqual([3000, 2000, 1000, 0])
  })

  it('does not draw what still loads while two are ready', () => {
    const fleet = [candidate(0, { loadingMs: 1 }), candidate(1, { running: 2 }), candidate(2, { running: 3 })]
    expect(orderOf('power_of_two', fleet)).toEqual([1, 2, 0])
  })
})

describe('locality', () => {
  const talk = { session: 'talk' }

  it('stays where the session was last', () => {
    const fleet = [
      candidate(0),
      candidate(1, { running: 3, sessionAtMs: 50 }),
      candidate(2, { sessionAtMs: 10 }),
    ]
    expect(orderOf('locality', fleet, talk)[0]).toBe(1)
  })

  it('leaves an instance that is full and has more than its share', () => {
    const full = { running: 8, slotWaitMs: 900, sessionAtMs: 50 }
    expect(orderOf('locality', [candidate(0), candidate(1, full)], talk)[0]).toBe(0)
    const asFull = candidate(0, { running: 8, slotWaitMs: 900 })
    expect(orderOf('locality', [asFull, candidate(1, full)], talk)[0]).toBe(1)
  })

  it('goes to the least loaded one with a new session', () => {
    expect(orderOf('locality', [candidate(0, { running: 1 }), candidate(1)], talk)).toEqual([1, 0])
  })
})

describe('prefix', () => {
  it('takes the longest match above the threshold', () => {
    const fleet = [candidate(0), candidate(1, { cachedTokens: 1500 }), candidate(2, { cachedTokens: 2000 })]
    expect(orderOf('prefix', fleet)).toEqual([2, 1, 0])
  })

  it('goes by load where no match is worth it', () => {
    const fleet = [candidate(0, { cachedTokens: 1000, running: 1 }), candidate(1)]
    expect(orderOf('prefix', fleet)).toEqual([1, 0])
  })

  it('takes the less loaded of equal matches', () => {
    const fleet = [candidate(0, { cachedTokens: 3000, running: 2 }), candidate(1, { cachedTokens: 3000 })]
    expect(orderOf('prefix', fleet)).toEqual([1, 0])
  })

  it('does not drown the holder, and still uses what others hold, when load is out of balance', () => {
    const fleet = [
      candidate(0, { cachedTokens: 3900, running: 8 }),
      candidate(1, { cachedTokens: 800, running: 1 }),
      candidate(2),
    ]
    expect(orderOf('prefix', fleet)).toEqual([1, 2, 0])
  })
})

describe('kv_cost', () => {
  it('adds blocks to compute and blocks in use', () => {
    const ranked = policies.kv_cost.rank(
      request({ promptTokens: 1600 }),
      [candidate(0, { cachedTokens: 800, prefillTokens: 160, activeTokens: 3200 })],
      { nowMs: 0, random: () => 0 },
    )
    expect(ranked[0]).toMatchObject({ score: 260, terms: { prefillBlocks: 60, decodeBlocks: 200 } })
  })

  it('leaves a cache that is busier than it is long', () => {
    const fleet = [candidate(0, { cachedTokens: 2000, activeTokens: 2500 }), candidate(1)]
    expect(orderOf('kv_cost', fleet)).toEqual([1, 0])
  })
})

describe('latency_target', () => {
  // 0 has its first token after 4 s and is done soon; 1 begins after 1 s and takes its time.
  const fleet = [
    candidate(0, { rates: rates({ decodeBaseMs: 1 }) }),
    candidate(1, { rates: rates({ prefillTokensPerS: 4000, decodeBaseMs: 400 }) }),
  ]

  it('takes the one that makes the deadline, though it finishes later', () => {
    expect(orderOf('predicted_finish', fleet)).toEqual([0, 1])
    expect(orderOf('latency_target', fleet, { deadlineMs: 2000 })).toEqual([1, 0])
  })

  it('takes the first finish where all make it, where none can, and where there is no deadline', () => {
    expect(orderOf('latency_target', fleet, { deadlineMs: 1_000_000 })).toEqual([0, 1])
    expect(orderOf('latency_target', fleet, { deadlineMs: -1 })).toEqual([0, 1])
    expect(orderOf('latency_target', fleet)).toEqual([0, 1])
  })

  it('trusts a measured prediction more than a guess', () => {
    const source = (name: 'measured' | 'guess') => rates({ prefillTokensPerS: 4000, source: name })
    const two = [candidate(0, { rates: source('guess') }), candidate(1, { rates: source('measured') })]
    expect(orderOf('latency_target', two, { deadlineMs: 1500 })).toEqual([1, 0])
    // Where it is late by its own prediction, the guess may be wrong.
    expect(orderOf('latency_target', two, { deadlineMs: 600 })).toEqual([0, 1])
  })

  it('says the chance of one whose prediction is the deadline itself: one half', () => {
    const [best] = policies.latency_target.rank(request({ deadlineMs: 4000 }), [candidate(0)], {
      nowMs: 0,
      random: () => 0,
    })
    expect(best?.terms['risk']).toBeCloseTo(500_000, 0)
  })
})

describe('power_aware', () => {
  it('takes the thrifty device, though it is slower', () => {
    const fleet = [
      candidate(0, { watts: 350, rates: rates({ prefillTokensPerS: 2000 }) }),
      candidate(1, { watts: 60 }),
    ]
    expect(orderOf('power_aware', fleet)).toEqual([1, 0])
  })

  it('does not wait for minutes to save a little', () => {
    const fleet = [
      candidate(0, { watts: 350 }),
      candidate(1, { watts: 300, slotWaitMs: 120_000, running: 8 }),
    ]
    expect(orderOf('power_aware', fleet)).toEqual([0, 1])
  })

  it('takes unknown watts for the greatest known ones', () => {
    const fleet = [candidate(0), candidate(1, { watts: 200 }), candidate(2, { watts: 400 })]
    expect(orderOf('power_aware', fleet)).toEqual([1, 0, 2])
  })
})

describe('performance_aware', () => {
  const fast = rates({ prefillTokensPerS: 3000 })

  it('takes the fastest device while it has a slot, whatever is cached elsewhere', () => {
    const fleet = [candidate(0, { cachedTokens: 3999 }), candidate(1, { rates: fast, running: 7 })]
    expect(orderOf('performance_aware', fleet)).toEqual([1, 0])
  })

  it('takes the next one while the fastest is full for longer than that costs', () => {
    const fleet = [candidate(0), candidate(1, { rates: fast, running: 8, slotWaitMs: 10_000 })]
    expect(orderOf('performance_aware', fleet)).toEqual([0, 1])
  })
})
