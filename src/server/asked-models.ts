import type { Clock } from '../core/index.ts'
import { createForecaster, type Forecast } from '../placement/index.ts'
import type { RequestHistory } from './request-history.ts'

/** Models of which something is remembered. */
const mostModels = 256
/** Between two writings of when models were wanted: a machine's end costs no more of it. */
const saveEveryMs = 5 * 60_000

/** Which models were asked for, when, and when they will be. By their keys. */
export interface AskedModels {
  asked(key: string, modelName: string): void
  has(key: string): boolean
  nameOf(key: string): string | undefined
  /** When it was asked for last; 0 where it never was. */
  askedAtMs(key: string): number
  /** What is expected to be asked for within `horizonMs`. */
  expected(horizonMs: number): Forecast[]
  /** Why a model is expected, and how good its forecasts were. */
  reasonFor(forecast: Forecast): string
  /** Keeps what is known for the next run, where that is due. */
  look(): void
  close(): void
}

/** `requests`: where it is kept from one run to the next; absent: nowhere. */
export function createAskedModels(clock: Pick<Clock, 'now'>, requests?: RequestHistory): AskedModels {
  const earlier = (requests?.earlier ?? []).slice(-mostModels)
  const forecaster = createForecaster(undefined, earlier)
  /** Asked for longest ago first. */
  const known = new Map(
    earlier.map(({ model, name, lastArrivalMs }) => [model, { name, askedAtMs: lastArrivalMs }]),
  )
  let askedSinceSave = false
  let savedAtMs = clock.now()

  function save(): void {
    if (!requests || !askedSinceSave) return
    requests.save(
      forecaster.histories().flatMap((history) => {
        const name = known.get(history.model)?.name
        return name === undefined ? [] : [{ ...history, name }]
      }),
    )
    askedSinceSave = false
    savedAtMs = clock.now()
  }

  return {
    asked(key, name) {
      forecaster.arrived(key, clock.now())
      known.delete(key)
      known.set(key, { name, askedAtMs: clock.now() })
      for (const oldest of known.keys()) if (known.size > mostModels) known.delete(oldest)
      askedSinceSave = true
    },
    has: (key) => known.has(key),
    nameOf: (key) => known.get(key)?.name,
    askedAtMs: (key) => known.get(key)?.askedAtMs ?? 0,
    expected: (horizonMs) =>
      forecaster.expected(clock.now(), horizonMs).filter(({ model }) => known.has(model)),
    reasonFor({ model, basis }) {
      const { precision = 1, recall = 1 } = forecaster.scores().find((score) => score.model === model) ?? {}
      const record = `${percent(precision)} of its forecasts came true, ${percent(recall)} of its times were foreseen`
      return `it is expected (${basis}): ${record}`
    },
    look() {
      if (clock.now() - savedAtMs >= saveEveryMs) save()
    },
    close: save,
  }
}

const percent = (share: number) => `${Math.round(share * 100)} %`
