/** What every policy promises, whatever it prefers and whatever it is told. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Candidate,
  filterCandidates,
  type PolicyName,
  policies,
  policyNames,
  type Ranked,
} from './index.ts'
import { anyFleet, anyRequest, candidate, orderOf, type request, saneFleet, seeded } from './testing.ts'

const seeds = fc.nat()
const clock = fc.nat(1_000_000)
const idsOf = (ranked: readonly Ranked[]) => ranked.map((one) => one.candidate.id)

describe.each(policyNames)('%s', (name) => {
  const policy = policies[name]
  const rank = (
    asked: ReturnType<typeof request>,
    fleet: readonly Candidate[],
    nowMs: number,
    seed: number,
  ) => policy.rank(asked, fleet, { nowMs, random: seeded(seed) })

  it('goes by the name it is found under, and says what it does in one sentence', () => {
    expect(policy.name).toBe(name)
    expect(policy.about).toMatch(/^[A-Z].*\.$/)
  })

  it('ranks every candidate that it was given once, and no other', () => {
    fc.assert(
      fc.property(anyRequest, anyFleet, clock, seeds, (asked, fleet, nowMs, seed) => {
        const ranked = rank(asked, fleet, nowMs, seed)
        expect(new Set(ranked.map((one) => one.candidate))).toEqual(new Set(fleet))
        expect(ranked).toHaveLength(fleet.length)
      }),
    )
  })

  it('gives finite scores that rise from best to worst, each the sum of its terms', () => {
    fc.assert(
      fc.property(anyRequest, anyFleet, clock, seeds, (asked, fleet, nowMs, seed) => {
        let before = Number.NEGATIVE_INFINITY
        for (const { score, terms } of rank(asked, fleet, nowMs, seed)) {
          expect(Number.isFinite(score)).toBe(true)
          expect(score).toBeGreaterThanOrEqual(before)
          before = score
          const sum = Object.values(terms).reduce((total, term) => total + term, 0)
          expect(Math.abs(score - sum)).toBeLessThanOrEqual(1e-9 * Math.abs(score))
        }
      }),
      { numRuns: 300 },
    )
  })

  it('decides alike when everything is alike, in whatever order the candidates come', () => {
    fc.assert(
      fc.property(anyRequest, anyFleet, clock, seeds, (asked, fleet, nowMs, seed) => {
        const first = rank(asked, fleet, nowMs, seed)
        expect(rank(asked, fleet, nowMs, seed)).toEqual(first)
        // Who is drawn by lot is drawn by place.
        if (name === 'power_of_two') return
        expect(idsOf(rank(asked, fleet.toReversed(), nowMs, seed))).toEqual(idsOf(first))
      }),
    )
  })

  it('changes nothing of what it is given', () => {
    fc.assert(
      fc.property(anyRequest, anyFleet, clock, seeds, (asked, fleet, nowMs, seed) => {
        const before = structuredClone({ asked, fleet })
        rank(asked, fleet, nowMs, seed)
        expect({ asked, fleet }).toEqual(before)
      }),
    )
  })

  it('never ranks what a constraint has excluded', () => {
    fc.assert(
      fc.property(anyRequest, anyFleet, clock, seeds, (asked, fleet, nowMs, seed) => {
        const { kept, excluded } = filterCandidates(asked, fleet)
        const out = new Set(excluded.map(({ id }) => id))
        expect(rank(asked, kept, nowMs, seed).some((one) => out.has(one.candidate.id))).toBe(false)
        expect(kept.length + excluded.length).toBe(fleet.length)
      }),
    )
  })

  it('goes round among equals', () => {
    const turns = 12
    let fleet = [0, 1, 2].map((id) => candidate(id))
    const counts = [0, 0, 0]
    for (let turn = 1; turn <= turns; turn++) {
      // Both that power_of_two draws hold the one that was chosen longest ago.
      const longestAgo = fleet.toSorted((a, b) => a.lastChosen - b.lastChosen || a.id - b.id)
      const [best] = orderOf(name, longestAgo)
      fleet = fleet.map((one) =>
        one.id === best ? { ...one, lastChosen: turn, chosen: one.chosen + 1 } : one,
      )
      counts[best ?? -1] = (counts[best ?? -1] ?? 0) + 1
    }
    expect(counts).toEqual([4, 4, 4])
  })

  it('takes an instance that is ready before an equal one that loads', () => {
    const ready = candidate(0, { lastChosen: 1, chosen: 1 })
    const loading = candidate(1, { loadingMs: 60_000, lastChosen: 1, chosen: 1 })
    for (const fleet of [
      [ready, loading],
      [loading, ready],
    ])
      expect(orderOf(name, fleet)[0]).toBe(0)
  })
})

const prefixAware: PolicyName[] = ['predicted_finish', 'prefix', 'kv_cost', 'latency_target', 'power_aware']

describe.each(prefixAware)('%s, which knows of caches', (name) => {
  it('never ranks an instance worse for holding more of the prompt', () => {
    fc.assert(
      fc.property(
        anyRequest,
        saneFleet.filter((fleet) => fleet.length > 0),
        fc.nat(),
        fc.nat(200_000),
        (asked, fleet, pick, more) => {
          const one = fleet[pick % fleet.length] as Candidate
          const richer = fleet.map((other) =>
            other === one ? { ...other, cachedTokens: other.cachedTokens + more } : other,
          )
          const before = orderOf(name, fleet, asked).indexOf(one.id)
          expect(orderOf(name, richer, asked).indexOf(one.id)).toBeLessThanOrEqual(before)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('takes the one of two equals that holds the prompt', () => {
    const fleet = [candidate(0), candidate(1, { cachedTokens: 3000, lastChosen: 5, chosen: 5 })]
    expect(orderOf(name, fleet)[0]).toBe(1)
  })
})

const cacheBlind = policyNames.filter((name) => !prefixAware.includes(name))

describe.each(cacheBlind)('%s, which knows nothing of caches', (name) => {
  it('decides the same whatever is cached', () => {
    fc.assert(
      fc.property(anyRequest, saneFleet, (asked, fleet) => {
        const cold = fleet.map((one) => ({ ...one, cachedTokens: 0 }))
        expect(orderOf(name, cold, asked)).toEqual(orderOf(name, fleet, asked))
      }),
    )
  })
})

const timeAware: PolicyName[] = [
  'predicted_finish',
  'least_effective_load',
  'latency_target',
  'power_aware',
  'performance_aware',
]

describe.each(timeAware)('%s, which counts time', (name) => {
  it('never ranks an instance worse for being quicker, free sooner or healthier', () => {
    const better = fc.constantFrom<(one: Candidate) => Candidate>(
      (one) => ({ ...one, slotWaitMs: one.slotWaitMs / 2 }),
      (one) => ({ ...one, loadingMs: 0 }),
      (one) => ({ ...one, health: Math.min(1, one.health * 2) }),
      (one) => ({ ...one, networkMs: one.networkMs / 2 }),
    )
    fc.assert(
      fc.property(
        anyRequest,
        saneFleet.filter((fleet) => fleet.length > 0),
        fc.nat(),
        better,
        (asked, fleet, pick, improve) => {
          const one = fleet[pick % fleet.length] as Candidate
          const improved = fleet.map((other) => (other === one ? improve(other) : other))
          const before = orderOf(name, fleet, asked).indexOf(one.id)
          expect(orderOf(name, improved, asked).indexOf(one.id)).toBeLessThanOrEqual(before)
        },
      ),
      { numRuns: 500 },
    )
  })
})
