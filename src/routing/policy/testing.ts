/** Made-up candidates and requests for tests: an ordinary one, of which a test says only what matters to it. */
import fc from 'fast-check'
import type { Candidate, PolicyContext, PolicyName, RouteRequest } from './contract.ts'
import { policies } from './index.ts'

/** A loaded, idle instance: 1000 prompt tokens a second, 10 ms a decoding step and 1 ms more for each request. */
export function candidate(id: number, facts: Partial<Candidate> = {}): Candidate {
  return {
    id,
    deviceIds: [`gpu-${id}`],
    slots: 8,
    contextLength: 32_768,
    kvTokens: 200_000,
    weight: 1,
    running: 0,
    prefilling: 0,
    prefillTokens: 0,
    activeTokens: 0,
    slotWaitMs: 0,
    loadingMs: 0,
    lastChosen: 0,
    chosen: 0,
    rates: rates(),
    health: 1,
    cachedTokens: 0,
    networkMs: 0,
    ...facts,
  }
}

export function rates(facts: Partial<Candidate['rates']> = {}): Candidate['rates'] {
  return {
    prefillTokensPerS: 1000,
    decodeBaseMs: 10,
    decodePerRequestMs: 1,
    loadMs: 10_000,
    source: 'measured',
    ...facts,
  }
}

export function request(facts: Partial<RouteRequest> = {}): RouteRequest {
  return { promptTokens: 4000, outputTokens: 100, tenant: 'anna', ...facts }
}

/** The order in which a policy puts them, by id. */
export function orderOf(
  name: PolicyName,
  candidates: readonly Candidate[],
  facts: Partial<RouteRequest> = {},
  context: PolicyContext = { nowMs: 0, random: () => 0 },
): number[] {
  return policies[name].rank(request(facts), candidates, context).map((ranked) => ranked.candidate.id)
}

/** Lets a policy choose `count` times, each choice counted, and tells who was chosen. */
export function choices(name: PolicyName, candidates: readonly Candidate[], count: number): number[] {
  let fleet = [...candidates]
  const chosen: number[] = []
  for (let turn = 1; turn <= count; turn++) {
    const [best] = orderOf(name, fleet)
    if (best === undefined) break
    chosen.push(best)
    fleet = fleet.map((one) => (one.id === best ? { ...one, lastChosen: turn, chosen: one.chosen + 1 } : one))
  }
  return chosen
}

const sane = fc.oneof(fc.nat(100_000), fc.double({ min: 0, max: 1e6, noNaN: true }))
/** Whatever books, probes and configuration may come to say. */
const broken = fc.constantFrom(0, -1, 1e-320, 1e300, Number.NaN, Number.POSITIVE_INFINITY, Number.MIN_VALUE)
const anyFact = fc.oneof({ weight: 3, arbitrary: sane }, { weight: 1, arbitrary: broken })

function factsOf(number: fc.Arbitrary<number>): fc.Arbitrary<Omit<Candidate, 'id'>> {
  return fc.record(
    {
      deviceIds: fc.subarray(['gpu-0', 'gpu-1', 'cpu']),
      slots: number,
      contextLength: number,
      kvTokens: number,
      weight: number,
      watts: number,
      running: number,
      prefilling: number,
      prefillTokens: number,
      activeTokens: number,
      slotWaitMs: number,
      loadingMs: number,
      lastChosen: fc.nat(1000),
      chosen: number,
      sessionAtMs: fc.nat(1000),
      rates: fc.record({
        prefillTokensPerS: number,
        decodeBaseMs: number,
        decodePerRequestMs: number,
        loadMs: number,
        source: fc.constantFrom('measured', 'alike', 'guess'),
      }),
      health: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), number),
      cachedTokens: number,
      restoreMs: number,
      networkMs: number,
      precisions: fc.subarray(['fp16', 'bf16', 'fp32']),
      capabilities: fc.subarray(['vision', 'tools']),
      labels: fc.dictionary(fc.constantFrom('room', 'owner'), fc.constantFrom('a', 'b')),
      tenants: fc.subarray(['anna', 'ben']),
      costPerMillionTokens: number,
    },
    {
      requiredKeys: [
        'deviceIds',
        'slots',
        'contextLength',
        'kvTokens',
        'weight',
        'running',
        'prefilling',
        'prefillTokens',
        'activeTokens',
        'slotWaitMs',
        'loadingMs',
        'lastChosen',
        'chosen',
        'rates',
        'health',
        'cachedTokens',
        'networkMs',
      ],
    },
  )
}

function fleetOf(number: fc.Arbitrary<number>): fc.Arbitrary<Candidate[]> {
  return fc
    .array(factsOf(number), { maxLength: 12 })
    .map((fleet) => fleet.map((facts, index) => ({ id: index * 3, ...facts })))
}

/** Up to 12 candidates with any facts, broken ones too. */
export const anyFleet = fleetOf(anyFact)
/** Up to 12 candidates whose facts are what they should be. */
export const saneFleet = fleetOf(sane)

export const anyRequest: fc.Arbitrary<RouteRequest> = fc.record(
  {
    promptTokens: anyFact,
    outputTokens: anyFact,
    contextTokens: fc.nat(100_000),
    session: fc.constant('talk'),
    tenant: fc.constantFrom('anna', 'ben', 'carl'),
    deadlineMs: fc.oneof(fc.integer({ min: -10_000, max: 1_000_000 }), anyFact),
    needs: fc.record(
      {
        precision: fc.constantFrom('fp16', 'bf16', 'fp32'),
        capabilities: fc.subarray(['vision', 'tools']),
        labels: fc.dictionary(fc.constantFrom('room', 'owner'), fc.constantFrom('a', 'b')),
        pins: fc.subarray(['gpu-0', '#3']),
        maxWatts: fc.nat(1000),
        maxCostPerMillionTokens: fc.nat(100),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ['promptTokens', 'outputTokens', 'tenant'] },
)

/** The same numbers for the same seed. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
