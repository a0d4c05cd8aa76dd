/** Worlds and what happens in them, at random. */
import fc from 'fast-check'
import type { InstanceExit } from '../../../engines/index.ts'
import type { ErrorCode } from '../../../inference/index.ts'
import { priorityClasses } from '../../admission/index.ts'
import type { DeviceRoom } from '../../lifecycle/index.ts'
import { room } from '../../lifecycle/testing.ts'
import { policyNames } from '../../policy/index.ts'
import { type AnswerScript, type InstanceScript, textOf } from '../../testing/scripted-engine.ts'
import { type Asked, quietWorld, type World, type WorldOptions } from './world.ts'

/** What happens, after so long; without a number, before anything else can. */
export type Event = { afterMs: number | undefined } & (
  | { type: 'ask'; asked: Asked }
  | { type: 'leave'; pick: number }
  | { type: 'drain'; pick: number; graceMs: number }
  | { type: 'restart'; model: string }
  | { type: 'move'; model: string; to: readonly string[] }
  | { type: 'unload'; model: string }
  | { type: 'lose'; deviceId: string; deadly: boolean }
  | { type: 'back'; deviceId: string }
  | { type: 'kill'; pick: number; kind: InstanceExit['kind'] }
)

/** Once in so many times. */
const sometimes = <T>(arbitrary: fc.Arbitrary<T>, every: number) =>
  fc.oneof({ weight: every - 1, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary })

/** Without the members that are undefined. */
function given<T extends object>(facts: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(facts).filter(([, fact]) => fact !== undefined)) as never
}

const model = fc.constantFrom('a', 'a', 'a', 'b')
const asked = fc
  .record({
    model,
    tenant: fc.constantFrom('ada', 'bob', 'cy'),
    priority: fc.constantFrom(...priorityClasses),
    prompt: fc.nat(12).map((length) => textOf(Array.from({ length: length + 1 }, (_, at) => (at % 5) + 1))),
    maxTokens: fc.integer({ min: 1, max: 12 }),
    deadlineInMs: sometimes(fc.constantFrom(0, 30, 150, 2000), 4),
    contextLength: sometimes(fc.constantFrom(2048, 8192), 8),
    session: sometimes(fc.constantFrom('s', 't'), 3),
    pin: sometimes(fc.constantFrom('gpu0', 'gpu1', 'nowhere'), 12),
    holdsMs: sometimes(fc.constantFrom(0, 10, 300), 12),
    readsTokens: sometimes(fc.integer({ min: 1, max: 4 }), 8),
  })
  .map(given)

const answerScript: fc.Arbitrary<AnswerScript> = fc.record({
  after: fc.constantFrom(0, 0, 1, 2, 3, 5, 100),
  with: fc.constantFrom('crash', 'crash', 'failure', 'failure', 'busy', 'break', 'stall'),
})

const instanceScript: fc.Arbitrary<Partial<InstanceScript>> = fc
  .record({
    loadMs: fc.constantFrom(0, 10, 100, 3000),
    loadError: sometimes(
      fc.constantFrom<ErrorCode[]>(
        'load_failed',
        'engine_crashed',
        'insufficient_memory',
        'engine_unavailable',
      ),
      6,
    ),
    answers: fc.array(answerScript, { maxLength: 3 }),
    prefillMs: fc.constantFrom(0, 10, 200),
    tokenMs: fc.constantFrom(0, 5, 20),
    tokensPerEvent: fc.constantFrom(1, 1, 3),
    abortMs: fc.constantFrom(0, 0, 5, 50),
    exitLagMs: fc.constantFrom(0, 0, 5),
    closeMs: fc.constantFrom(0, 10, 500),
    ignoresAbort: sometimes(fc.constant(true), 6),
  })
  .map(given)

const deviceId = fc.constantFrom('gpu0', 'gpu1', 'cpu')
const pick = fc.nat(20)
const after = { afterMs: fc.constantFrom(undefined, 0, 0, 1, 5, 12, 40, 150, 1000) }
const kind = fc.constantFrom<InstanceExit['kind'][]>(
  'crashed',
  'crashed',
  'hung',
  'out_of_memory',
  'device_lost',
)

const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ type: fc.constant('ask' as const), ...after, asked }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('leave' as const), ...after, pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('drain' as const),
      ...after,
      pick,
      graceMs: fc.constantFrom(0, 10, 100),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const), ...after, model }) },
  {
    weight: 2,
    arbitrary: fc.record({
      type: fc.constant('move' as const),
      ...after,
      model,
      to: fc.constantFrom(['gpu0'], ['gpu1'], ['gpu0', 'gpu1'], ['cpu']),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('unload' as const), ...after, model }) },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('lose' as const), ...after, deviceId, deadly: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('back' as const), ...after, deviceId }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('kill' as const), ...after, pick, kind }) },
)

const devices = fc.constantFrom<DeviceRoom[][]>(
  [room('gpu0', 10)],
  [room('gpu0', 25)],
  [room('gpu0', 10), room('gpu1', 10)],
  [room('gpu0', 25, { maxReplicas: 2 }), room('gpu1', 25)],
  [room('gpu0', 12), room('cpu', 30, { fallback: true, mayFail: false })],
  [room('gpu0', 12, { speed: 2 }), room('gpu1', 6)],
  [room('gpu0', 6, { spreads: true }), room('gpu1', 6, { spreads: true })],
)

export const options: fc.Arbitrary<WorldOptions> = fc
  .record({
    policy: fc.constantFrom('least_loaded', 'least_loaded', 'predicted_finish', ...policyNames),
    admission: fc.constantFrom(
      quietWorld.admission,
      { ...quietWorld.admission, maxWaiting: 1 },
      { ...quietWorld.admission, maxWaiting: 3, maxWaitingByClass: { bulk: 1 } },
      { ...quietWorld.admission, promoteAfterMs: { system: 5, interactive: 20, default: 50, bulk: 100 } },
    ),
    limits: fc.constantFrom(
      quietWorld.limits,
      { maxLoadedModels: 1 },
      { maxLoadedModels: 3, handOverAfterMs: 20 },
      { maxLoadedModels: 3, handOverAfterMs: 20, defragments: true },
      { maxLoadedModels: 3, maxRequests: new Map([['gpu0', 1]]) },
    ),
    devices,
    bytes: fc.constantFrom(quietWorld.bytes, quietWorld.bytes, { a: 4, b: 11 }),
    slots: fc.constantFrom(1, 2, 3),
    scripts: fc.array(instanceScript, { maxLength: 5 }),
    tokensAtEnd: sometimes(fc.constant(true), 5),
    hedgeMs: sometimes(fc.constantFrom(0, 15, 60), 3),
    cacheMs: sometimes(fc.constantFrom(0, 7), 4),
    silenceMs: sometimes(fc.constantFrom(250, 1000), 3),
  })
  .map(given)

export const schedule = fc.array(event, { minLength: 1, maxLength: 14, size: 'max' })

export function happen(world: World, one: Event): void {
  switch (one.type) {
    case 'ask':
      world.ask(one.asked)
      break
    case 'leave':
      world.clients[one.pick % Math.max(1, world.clients.length)]?.leave()
      break
    case 'drain': {
      const ready = world.pool.ready()
      const entry = ready[one.pick % Math.max(1, ready.length)]?.entry
      if (entry) world.drain(entry.id, one.graceMs)
      break
    }
    case 'restart':
      world.restart(one.model)
      break
    case 'move':
      world.move(one.model, one.to)
      break
    case 'unload':
      world.keepAlive(one.model, 0)
      break
    case 'lose':
      world.loseDevice(one.deviceId, one.deadly)
      break
    case 'back':
      world.deviceBack(one.deviceId)
      break
    case 'kill':
      world.kill(one.pick, one.kind)
  }
}
