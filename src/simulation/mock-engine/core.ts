import { createFaults, type MockFaults } from './faults.ts'
import { createModel, type MockModel } from './model.ts'
import type { MockSettings } from './options.ts'
import { Refusal } from './refusal.ts'
import { type Counters, createCounters, type MockStats } from './stats.ts'

/** What all dialects share: the models, the faults and what is counted. */
export interface MockCore {
  readonly settings: MockSettings
  readonly models: readonly MockModel[]
  readonly faults: MockFaults
  readonly counters: Counters
  /** The first model, which is loaded at the start. */
  readonly first: MockModel
  /** The model of a name (`name:latest` is `name`), the first where none is given. Throws `Refusal` for another. */
  modelOf(name: string | undefined): MockModel
  /** The first load goes on. */
  starting(): boolean
  stats(): MockStats
  /** Begins the first load. */
  start(): void
  /** Ends the engine as a crash does. */
  crash(): void
  close(): void
}

export function createCore(settings: MockSettings, crash: () => void): MockCore {
  const { clock, engine } = settings
  const counters = createCounters()
  const models = settings.models.map((name) => createModel(name, settings, counters))
  const [first] = models
  if (!first) throw new RangeError('a mock engine has at least one model')
  const closed = new AbortController()
  let starting = false
  let slowFactor = 1

  const faults = createFaults(() => clock.monotonicMs(), applySlowness)
  /** The time at which `slow` switches itself off is looked for while it is on. */
  function applySlowness(): void {
    const factor = faults.slowFactor()
    if (factor !== slowFactor) {
      slowFactor = factor
      for (const model of models) model.setRate(settings.speed / factor)
    }
    if (factor !== 1 && !closed.signal.aborted) clock.after(100, applySlowness)
  }

  const sum = (of: (model: MockModel) => number) => models.reduce((total, model) => total + of(model), 0)

  return {
    settings,
    models,
    faults,
    counters,
    first,
    modelOf(name) {
      if (name === undefined || name === '') return first
      const wanted = withoutTag(name)
      const found = models.find((model) => withoutTag(model.name) === wanted)
      if (!found) throw new Refusal(404, `model '${name}' not found`)
      return found
    },
    starting: () => starting,
    start() {
      starting = true
      const loaded = () => {
        starting = false
      }
      // Only the end of the engine breaks a load off.
      first.load(closed.signal).then(loaded, loaded)
    },
    stats: () => ({
      ...counters,
      running: sum((model) => model.running()),
      waiting: sum((model) => model.waiting()),
      kvCache: {
        capacityTokens: engine.kvTokens * models.length,
        tokens: sum((model) => model.kvUse().tokens),
        activeTokens: sum((model) => model.kvUse().activeTokens),
      },
      models: models.map((model) => ({
        name: model.name,
        loaded: model.isLoaded(),
        running: model.running(),
        waiting: model.waiting(),
      })),
    }),
    crash,
    close() {
      closed.abort(new Error('the mock engine was closed'))
      for (const model of models) model.close()
    },
  }
}

function withoutTag(name: string): string {
  return name.replace(/:latest$/, '').toLowerCase()
}
