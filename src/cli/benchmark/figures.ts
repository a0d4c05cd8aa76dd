import { quantile, spreadOf } from '../../core/index.ts'
import type { DeviceFigures, Figures, Measured } from './contract.ts'

/** Steps of a curve from 0 to 100 %. */
const quantileCount = 50

export type FiguresHead = Pick<Figures, 'server' | 'model' | 'variant' | 'load'>

/** What the requests of one load tell together. */
export function figuresOf(
  head: FiguresHead,
  measured: readonly Measured[],
  objective: { ttftMs: number; itlMs: number },
  devices: DeviceFigures[],
): Figures {
  const answered = measured.filter(({ error }) => error === undefined)
  const failed = measured.filter(({ error }) => error !== undefined)
  const startMs = Math.min(...measured.map(({ arrivedMs }) => arrivedMs))
  const endMs = Math.max(...measured.map((one) => one.endMs))
  const seconds = measured.length > 0 ? Math.max(0.001, (endMs - startMs) / 1000) : 0
  const ttfts = answered.map(ttftOf)
  const gaps = answered.flatMap(({ gapsMs }) => gapsMs)
  const good = answered.filter((one) => ttftOf(one) <= objective.ttftMs && meanGap(one) <= objective.itlMs)
  const outputTokens = sum(answered.map((one) => one.outputTokens))
  const perS = (count: number) => (seconds > 0 ? count / seconds : 0)
  const watts = sum(devices.map(({ powerWatts = 0 }) => powerWatts))
  return {
    ...head,
    requests: measured.length,
    errors: failed.length,
    errorKinds: kindsOf(failed),
    seconds,
    ttftMs: spreadOf(ttfts),
    itlMs: spreadOf(gaps),
    endToEndMs: spreadOf(answered.map(({ arrivedMs, endMs: doneMs }) => doneMs - arrivedMs)),
    promptTokensPerS: perS(sum(answered.map(({ promptTokens }) => promptTokens))),
    outputTokensPerS: perS(outputTokens),
    streamTokensPerS: spreadOf(answered.flatMap(streamRate)).p50,
    requestsPerS: perS(answered.length),
    goodput: { share: measured.length > 0 ? good.length / measured.length : 0, perS: perS(good.length) },
    ...(watts > 0 && outputTokens > 0 && { joulesPerToken: (watts * seconds) / outputTokens }),
    devices,
    ttftQuantilesMs: quantilesOf(ttfts),
    itlQuantilesMs: quantilesOf(gaps),
  }
}

function ttftOf({ firstMs, arrivedMs }: Measured): number {
  return firstMs - arrivedMs
}

function meanGap({ gapsMs }: Measured): number {
  return gapsMs.length > 0 ? sum(gapsMs) / gapsMs.length : 0
}

/** What came with the first piece took no time that anybody saw, and does not count. */
function streamRate({ firstMs, endMs, gapsMs, outputTokens }: Measured): number[] {
  const later = gapsMs.findIndex((gapMs) => gapMs > 0)
  if (later < 0) return []
  const share = (gapsMs.length - later) / (gapsMs.length + 1)
  return [(outputTokens * share * 1000) / (endMs - firstMs)]
}

/** The values have been sorted by `spreadOf`. */
function quantilesOf(inOrder: readonly number[]): number[] {
  if (inOrder.length === 0) return []
  return Array.from({ length: quantileCount + 1 }, (_, step) => quantile(inOrder, step / quantileCount))
}

function kindsOf(failed: readonly Measured[]): Record<string, number> {
  const kinds = Map.groupBy(failed, ({ error = '' }) => error)
  return Object.fromEntries([...kinds].map(([kind, all]) => [kind, all.length]))
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
