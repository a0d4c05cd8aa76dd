import {
  type ForecastHistory,
  historyFrom,
  type KeptHistory,
  kept,
  mostGaps,
  restored,
  slotMs,
  slotsOfDay,
  slotsOfWeek,
} from './forecast-history.ts'

/**
 * When a model will be wanted next, by when it was wanted before.
 *
 * Requests with less than `burstGapMs` between them are one burst. Two things foretell the next one:
 * - a rhythm: of the last gaps between the beginnings of bursts, at least four, three quarters lie within a fifth of their
 *   median, and within a quarter of an hour of it;
 * - a time of day or week: in this quarter of an hour a burst has begun on most of the days (three at least), or in most
 *   of the weeks (two at least), that were seen. Days and weeks are those of UTC.
 * A forecast is open from its beginning to its end, whether anybody acts on it or not: a burst that begins within it was
 * foreseen, an end without one is a false alarm. A model whose forecasts were false more often than not is not warmed up;
 * its forecasts go on, so that it can be trusted again. Bounded in models and in what is kept of each; no clock.
 */

export interface ForecastLimits {
  /** Models that are remembered; who was longest without a request goes. */
  mostModels: number
  burstGapMs: number
}

export const defaultForecastLimits: ForecastLimits = { mostModels: 256, burstGapMs: 5 * 60_000 }

export interface Forecast {
  model: string
  /** When the burst is expected, at the earliest and at the latest. */
  fromMs: number
  untilMs: number
  /** How often it came when it was expected so, from 0 to 1. */
  probability: number
  /** `every 30 min`, `usual at this time of day`. */
  basis: string
}

export interface ForecastScore {
  model: string
  /** Forecasts that came true, and that did not. */
  hits: number
  misses: number
  /** Bursts that nobody foresaw. */
  surprises: number
  /** Of the forecasts the share that came true, and of the bursts the share that was foreseen; 1 where there were none. */
  precision: number
  recall: number
  trusted: boolean
}

export interface Forecaster {
  /** A request for the model came. */
  arrived(model: string, nowMs: number): void
  /** Bursts that are expected to begin within `horizonMs`, of models that are trusted. */
  expected(nowMs: number, horizonMs: number): Forecast[]
  scores(): ForecastScore[]
  /** All that is known, to be kept for the next run; who was asked for longest ago first. */
  histories(): KeptHistory[]
}

const dayMs = 86_400_000
const leastGaps = 4
/** Of the median gap. */
const gapTolerance = 0.2
/** Of a rhythm of hours a fifth would be hours, too: the time of the day knows it better. */
const mostToleranceMs = slotMs
const leastProbability = 0.6
/** Two gaps that take turns, a short and a long one, are no rhythm. */
const leastRhythm = 0.75
/** Each new hit, miss or surprise makes the older ones count so much. */
const forgetting = 0.9

interface History extends ForecastHistory {
  /** The open forecast, or the next one. */
  open?: Forecast
}

/** `earlier` is what `histories` has told: nobody watched since, so what had been foreseen for that time is not judged. */
export function createForecaster(
  limits: ForecastLimits = defaultForecastLimits,
  earlier: readonly KeptHistory[] = [],
): Forecaster {
  /** Those asked for longest ago first. */
  const models = new Map<string, History>(
    earlier.slice(-limits.mostModels).map((history) => [history.model, restored(history)]),
  )
  /** Of an earlier run, without a forecast yet. */
  const resting = new Set(models.keys())

  function arrived(model: string, nowMs: number): void {
    const known = models.get(model)
    models.delete(model)
    const history = known ?? historyFrom(nowMs)
    models.set(model, history)
    const begins = !known || nowMs - history.lastArrivalMs > limits.burstGapMs
    history.lastArrivalMs = nowMs
    if (known) judge(model, history, nowMs)
    if (begins) burst(model, history, nowMs, known !== undefined)
    for (const oldest of models.keys()) {
      if (models.size <= limits.mostModels) break
      models.delete(oldest)
    }
  }

  function burst(model: string, history: History, nowMs: number, isLater: boolean): void {
    if (isLater) {
      const { open } = history
      if (open && nowMs >= open.fromMs) score(history, 'hits')
      else score(history, 'surprises')
      history.gapsMs = [...history.gapsMs, nowMs - history.lastBurstMs].slice(-mostGaps)
    }
    history.lastBurstMs = nowMs
    const slot = Math.floor(nowMs / slotMs) % slotsOfWeek
    history.weeks[slot] = Math.min(255, (history.weeks[slot] ?? 0) + 1)
    setOpen(history, nextOf(model, history, nowMs))
  }

  /** Closes what has passed without a burst, and looks further. */
  function judge(model: string, history: History, nowMs: number): void {
    if (resting.delete(model)) setOpen(history, nextOf(model, history, nowMs))
    // Each turn ends later than the one before; of what is long past only the last few count.
    for (let turns = 0; turns < 8 && history.open && history.open.untilMs < nowMs; turns++) {
      score(history, 'misses')
      setOpen(history, nextOf(model, history, Math.max(history.open.untilMs, nowMs - dayMs)))
    }
    if (history.open && history.open.untilMs < nowMs) setOpen(history, nextOf(model, history, nowMs))
  }

  return {
    arrived,
    expected(nowMs, horizonMs) {
      return [...models].flatMap(([model, history]) => {
        judge(model, history, nowMs)
        const { open } = history
        return open && open.fromMs <= nowMs + horizonMs && isTrusted(history) ? [open] : []
      })
    },
    scores: () =>
      [...models].map(([model, history]) => {
        const { hits, misses, surprises } = history
        return {
          model,
          hits,
          misses,
          surprises,
          precision: hits + misses > 0 ? hits / (hits + misses) : 1,
          recall: hits + surprises > 0 ? hits / (hits + surprises) : 1,
          trusted: isTrusted(history),
        }
      }),
    histories: () => [...models].map(([model, { open: _, ...history }]) => kept(model, history)),
  }
}

function setOpen(history: History, forecast: Forecast | undefined): void {
  if (forecast) history.open = forecast
  else delete history.open
}

function score(history: History, what: 'hits' | 'misses' | 'surprises'): void {
  history.hits *= forgetting
  history.misses *= forgetting
  history.surprises *= forgetting
  history[what]++
}

/** With nothing known either way it is worth a try. */
const isTrusted = ({ hits, misses }: History) => (hits + 1) / (hits + misses + 2) >= 0.5

/** The next burst after `afterMs`: by rhythm, else by time of day or week. */
function nextOf(model: string, history: History, afterMs: number): Forecast | undefined {
  return byRhythm(model, history, afterMs) ?? byTime(model, history, afterMs)
}

function byRhythm(model: string, { gapsMs, lastBurstMs }: History, afterMs: number): Forecast | undefined {
  if (gapsMs.length < leastGaps) return undefined
  const inOrder = gapsMs.toSorted((a, b) => a - b)
  const median = inOrder[inOrder.length >> 1] ?? 0
  const tolerance = Math.min(gapTolerance * median, mostToleranceMs)
  const near = gapsMs.filter((gap) => Math.abs(gap - median) <= tolerance).length
  const probability = near / gapsMs.length
  if (probability < leastRhythm) return undefined
  // A beat may have been left out.
  const beats = Math.max(1, Math.ceil((afterMs - lastBurstMs - tolerance) / median))
  const atMs = lastBurstMs + beats * median
  const basis = `every ${Math.round(median / 60_000)} min`
  return { model, fromMs: atMs - tolerance, untilMs: atMs + tolerance, probability, basis }
}

function byTime(model: string, { weeks, firstBurstMs }: History, afterMs: number): Forecast | undefined {
  const first = Math.floor(afterMs / slotMs) + 1
  for (let ahead = 0; ahead < slotsOfWeek; ahead++) {
    const slot = first + ahead
    const fromMs = slot * slotMs
    const days = Math.floor((fromMs - firstBurstMs) / dayMs) + 1
    const ofWeek = (weeks[slot % slotsOfWeek] ?? 0) / Math.max(1, Math.ceil(days / 7) - 1 || 1)
    const onDays = sumOfDays(weeks, slot % slotsOfDay) / Math.max(1, days - 1)
    const daily = days > 3 ? onDays : 0
    const weekly = days > 14 ? ofWeek : 0
    const probability = Math.min(1, Math.max(daily, weekly))
    if (probability < leastProbability) continue
    const basis = daily >= weekly ? 'usual at this time of day' : 'usual at this time of the week'
    return { model, fromMs, untilMs: fromMs + slotMs, probability, basis }
  }
  return undefined
}

function sumOfDays(weeks: Uint8Array, slotOfDay: number): number {
  let sum = 0
  for (let slot = slotOfDay; slot < slotsOfWeek; slot += slotsOfDay) sum += weeks[slot] ?? 0
  return sum
}
