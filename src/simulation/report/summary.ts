import { quantile, type Spread, spreadOf } from '../../core/index.ts'
import type { Measured, Run } from '../measured.ts'

/** What was promised: an answer is good when it kept both. Milliseconds. */
export interface Objective {
  ttftMs: number
  itlMs: number
}

export interface Summary {
  requests: number
  answered: number
  refused: number
  /** Answers that went on elsewhere after their instance had died. */
  resumed: number
  offeredPerS: number
  /** From arrival, waiting included. */
  ttftMs: Spread
  /** Mean gap between the tokens of an answer. */
  itlMs: Spread
  endToEndMs: Spread
  /** Answers that kept the objective: their share of all requests, and how many a second. */
  goodput: { share: number; perS: number }
  /** Of all prompt tokens, those found in a cache. */
  cacheHitShare: number
  /** Jain's index over the tenants' tokens per second of waiting for them: 1 is equal, 1/n one has it all. */
  fairness: number
  utilisation: number
  /** |foretold - measured| / measured, medians and 90th percentiles. */
  predictionError: { ttft: { p50: number; p90: number }; finish: { p50: number; p90: number } }
}

export function summarise(run: Run, objective: Objective): Summary {
  const answered = run.requests.filter(({ doneMs }) => doneMs > 0)
  const good = answered.filter((one) => ttftOf(one) <= objective.ttftMs && itlOf(one) <= objective.itlMs)
  const lastMs = answered.reduce((latest, { doneMs }) => Math.max(latest, doneMs), 0)
  const firstMs = run.requests[0]?.arrivedMs ?? 0
  const prompts = sum(answered, ({ promptTokens }) => promptTokens)
  return {
    requests: run.requests.length,
    answered: answered.length,
    refused: run.requests.length - answered.length,
    resumed: answered.filter(({ resumed }) => resumed > 0).length,
    offeredPerS: run.offeredPerS,
    ttftMs: spreadOf(answered.map(ttftOf)),
    itlMs: spreadOf(answered.filter(({ outputTokens }) => outputTokens > 1).map(itlOf)),
    endToEndMs: spreadOf(answered.map(({ doneMs, arrivedMs }) => doneMs - arrivedMs)),
    goodput: {
      share: ratio(good.length, run.requests.length),
      perS: ratio(good.length * 1000, lastMs - firstMs),
    },
    cacheHitShare: ratio(
      sum(answered, ({ cachedTokens }) => cachedTokens),
      prompts,
    ),
    fairness: jainOf(answered),
    utilisation: run.utilisation,
    predictionError: errorsOf(answered),
  }
}

/** Means of the figures of several runs that differ in their seed only. */
export function meanOf(summaries: readonly Summary[]): Summary {
  return merge(summaries) as unknown as Summary
}

type Figures = { [name: string]: number | Figures }

function merge(all: readonly object[]): Figures {
  const [first = {}] = all
  return Object.fromEntries(
    Object.entries(first).map(([name, value]: [string, unknown]) => {
      const values = all.map((one) => (one as Figures)[name])
      if (typeof value === 'object') return [name, merge(values as Figures[])]
      return [name, (values as number[]).reduce((total, next) => total + next, 0) / all.length]
    }),
  )
}

export function ttftOf({ firstTokenMs, arrivedMs }: Measured): number {
  return firstTokenMs - arrivedMs
}

function itlOf({ doneMs, firstTokenMs, outputTokens }: Measured): number {
  return outputTokens > 1 ? (doneMs - firstTokenMs) / (outputTokens - 1) : 0
}

function errorsOf(answered: readonly Measured[]): Summary['predictionError'] {
  // What broke off was foretold of an instance that died.
  const foretold = answered.filter(({ predicted, resumed }) => predicted && resumed === 0)
  const errors = (of: (one: Measured) => [number, number]) =>
    sorted(
      foretold.map((one) => {
        const [predicted, measured] = of(one)
        return ratio(Math.abs(predicted - measured), measured)
      }),
    )
  const ttft = errors((one) => [one.predicted?.ttftMs ?? 0, one.firstTokenMs - one.sentMs])
  const finish = errors((one) => [one.predicted?.finishMs ?? 0, one.doneMs - one.sentMs])
  return {
    ttft: { p50: quantile(ttft, 0.5), p90: quantile(ttft, 0.9) },
    finish: { p50: quantile(finish, 0.5), p90: quantile(finish, 0.9) },
  }
}

/** Jain, Chiu and Hawe, "A quantitative measure of fairness" (1984). */
function jainOf(answered: readonly Measured[]): number {
  const tenants = new Map<string, { tokens: number; ms: number }>()
  for (const { tenant, promptTokens, outputTokens, doneMs, arrivedMs } of answered) {
    const one = tenants.get(tenant) ?? { tokens: 0, ms: 0 }
    one.tokens += promptTokens + outputTokens
    one.ms += doneMs - arrivedMs
    tenants.set(tenant, one)
  }
  const rates = [...tenants.values()].map(({ tokens, ms }) => ratio(tokens, ms))
  const squares = sum(rates, (rate) => rate * rate)
  return squares > 0 ? sum(rates, (rate) => rate) ** 2 / (rates.length * squares) : 1
}

export function sorted(values: number[]): number[] {
  return values.sort((a, b) => a - b)
}

function sum<One>(all: readonly One[], of: (one: One) => number): number {
  let total = 0
  for (const one of all) total += of(one)
  return total
}

function ratio(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0
}
