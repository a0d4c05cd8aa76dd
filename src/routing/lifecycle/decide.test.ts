import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { keepAlive, launchFailed, withdraw } from './decide.ts'
import type { Effect, LifecycleState } from './state.ts'
import { gib, launchOf, loaded, machine, minute, only, room, wish } from './testing.ts'

describe('the lifecycle of models', () => {
  it('starts one load for all who wait for the model, and grants them together', () => {
    const m = machine(8 * gib)
    const first = m.ask(wish('a', gib))
    const second = m.ask(wish('a', gib))
    expect(only([...first.effects, ...second.effects], 'launch')).toHaveLength(1)
    const launch = launchOf(first.effects)
    const grants = only(m.load(launch?.entryId ?? 0), 'grant')
    expect(grants.map((grant) => grant.waiterId)).toEqual([first.waiterId, second.waiterId])
  })

  it('serves a smaller context by a larger instance without a reload', () => {
    const m = machine(8 * gib)
    loaded(m, wish('a', gib, { contextLength: 8192 }))
    expect(only(m.ask(wish('a', gib, { contextLength: 2048 })).effects, 'grant')).toHaveLength(1)
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toHaveLength(1)
  })

  it('reloads for a larger context, once nobody uses the smaller one', () => {
    const m = machine(8 * gib)
    const entryId = loaded(m, wish('a', gib, { contextLength: 2048 }))
    m.ask(wish('a', gib))
    const wanting = m.ask(wish('a', gib, { contextLength: 8192 }))
    expect(wanting.effects.filter((effect) => effect.type !== 'wake')).toEqual([])
    expect(only(m.ask(wish('a', gib)).effects, 'grant'), 'later requests do not starve it').toEqual([])
    expect(only(m.release(entryId), 'close')).toEqual([{ type: 'close', entryId, reason: 'reload' }])
    const { effects } = m.end(entryId)
    expect(launchOf(effects)?.plan.contextLength).toBe(8192)
  })

  it('evicts the model whose loss costs least, and none that is in use', () => {
    const m = machine(4 * gib)
    const old = loaded(m, wish('old', 1.5 * gib))
    m.pass(minute)
    const recent = loaded(m, wish('recent', 1.5 * gib))
    m.pass(1000)
    const asked = m.ask(wish('new', 2 * gib))
    expect(only(asked.effects, 'close')).toEqual([{ type: 'close', entryId: old, reason: 'evicted' }])
    expect(launchOf(m.end(old).effects)?.wish.key).toBe('new')
    expect(m.state.entries.get(recent)?.phase).toBe('ready')
  })

  it('waits for a busy model to become idle before evicting it', () => {
    const m = machine(2 * gib)
    const entryId = loaded(m, wish('busy', 1.5 * gib))
    m.ask(wish('busy', 1.5 * gib))
    expect(only(m.ask(wish('new', 1.5 * gib)).effects, 'close')).toEqual([])
    expect(only(m.release(entryId), 'close')).toHaveLength(1)
  })

  it('lets a doomed model live when those who wanted its place have gone', () => {
    const m = machine(2 * gib)
    const entryId = loaded(m, wish('busy', 1.5 * gib))
    m.ask(wish('busy', 1.5 * gib))
    const { waiterId } = m.ask(wish('new', 1.5 * gib))
    withdraw(m.state, waiterId)
    expect(only(m.release(entryId), 'close')).toEqual([])
  })

  it('evicts a pinned model only after all others', () => {
    const m = machine(4 * gib)
    const pinned = loaded(m, wish('pinned', 1.5 * gib))
    keepAlive(m.state, 'pinned', Number.POSITIVE_INFINITY)
    m.pass(minute)
    const other = loaded(m, wish('other', 1.5 * gib))
    const closes = only(m.ask(wish('new', 2 * gib)).effects, 'close')
    expect(closes.map((effect) => effect.entryId)).toEqual([other])
    expect(m.state.entries.get(pinned)?.phase).toBe('ready')
  })

  it('keeps to the limit of loaded models', () => {
    const m = machine(100 * gib, 1)
    const first = loaded(m, wish('a', gib))
    expect(only(m.ask(wish('b', gib)).effects, 'close')).toEqual([
      { type: 'close', entryId: first, reason: 'evicted' },
    ])
  })

  it('refuses a model that not even the empty machine could hold, with what it needs', () => {
    const m = machine(2 * gib)
    const [reject] = only(m.ask(wish('huge', 3 * gib)).effects, 'reject')
    expect(reject?.error.code).toBe('insufficient_memory')
    expect(reject?.error.message).toContain('huge needs')
  })

  it('does not let small models overtake a large one that waits for room', () => {
    const m = machine(4 * gib)
    const entryId = loaded(m, wish('busy', 2 * gib))
    m.ask(wish('busy', 2 * gib))
    m.ask(wish('large', 3 * gib))
    expect(launchOf(m.ask(wish('small', gib)).effects)).toBeUndefined()
    m.release(entryId)
    expect(launchOf(m.end(entryId).effects)?.wish.key).toBe('large')
  })

  it('unloads after the keep-alive, counted from the end of the last request', () => {
    const m = machine(4 * gib)
    const entryId = loaded(m, wish('a', gib))
    m.ask(wish('a', gib))
    expect(only(m.pass(10 * minute), 'close')).toEqual([])
    m.release(entryId)
    expect(only(m.pass(5 * minute - 1), 'close')).toEqual([])
    expect(only(m.pass(1), 'close')).toEqual([{ type: 'close', entryId, reason: 'expired' }])
  })

  it('unloads at once with a keep-alive of 0', () => {
    const m = machine(4 * gib)
    const entryId = loaded(m, wish('a', gib))
    keepAlive(m.state, 'a', 0)
    expect(only(m.step(), 'close')).toEqual([{ type: 'close', entryId, reason: 'expired' }])
  })

  it('keeps a model that is expected, until it is not or somebody wants it gone', () => {
    const m = machine(8 * gib)
    let expected = true
    m.state.limits.keeps = (key) => expected && key === 'a'
    const entryId = loaded(m, wish('a', gib))
    const other = loaded(m, wish('b', gib))
    expect(only(m.pass(5 * minute), 'close')).toEqual([{ type: 'close', entryId: other, reason: 'expired' }])
    const [wake] = only(m.pass(minute), 'wake')
    expect(wake?.atMs).toBe(m.now() + 2_000)
    expected = false
    expect(only(m.step(), 'close')).toHaveLength(1)
    m.end(entryId)
    expected = true
    loaded(m, wish('a', gib))
    keepAlive(m.state, 'a', 0)
    expect(only(m.step(), 'close')).toHaveLength(1)
  })

  it('brings a crashed model back at once, then after a back-off, then refuses with the reason', () => {
    const m = machine(4 * gib)
    const crash = (entryId: number) => m.end(entryId, 'segmentation fault')
    expect(crash(loaded(m, wish('a', gib))).comesBack).toBe(true)
    crash(loaded(m, wish('a', gib)))
    const delayed = m.ask(wish('a', gib))
    expect(launchOf(delayed.effects)).toBeUndefined()
    expect(only(delayed.effects, 'wake')).toEqual([{ type: 'wake', atMs: m.now() + 1000 }])
    const launch = launchOf(m.pass(1000))
    m.load(launch?.entryId ?? 0)
    crash(launch?.entryId ?? 0)
    const [reject] = only(m.ask(wish('a', gib)).effects, 'reject')
    expect(reject?.error.code).toBe('crash_loop')
    expect(reject?.error.message).toMatch(/3 times.*segmentation fault.*next try is in 2 s/)
  })

  it('tells everybody who waited why a load failed, and tries again for the next', () => {
    const m = machine(4 * gib)
    const { effects } = m.ask(wish('a', gib))
    m.ask(wish('a', gib))
    const error = new DroverError('load_failed', 'bad magic')
    const rejects = launchFailed(m.state, launchOf(effects)?.entryId ?? 0, error, m.now())
    expect(rejects).toHaveLength(2)
    expect(launchOf(m.ask(wish('a', gib)).effects)).toBeDefined()
  })

  it('refuses more waiting requests than its limit with the words of Ollama', () => {
    const m = machine(4 * gib)
    for (let i = 0; i < 4; i++) m.ask(wish('a', gib))
    expect(() => m.ask(wish('a', gib))).toThrow(
      'server busy, please try again.  maximum pending requests exceeded',
    )
  })
})

describe('whatever happens, in any order', () => {
  const action = fc.oneof(
    fc.record({
      do: fc.constant('ask' as const),
      key: fc.constantFrom('a', 'b', 'c', 'd'),
      context: fc.nat(3),
    }),
    fc.record({ do: fc.constantFrom('load', 'release', 'end', 'crash', 'withdraw'), pick: fc.nat(9) }),
    fc.record({ do: fc.constant('pass' as const), ms: fc.nat(400_000) }),
  )

  it('memory is never promised twice, no instance is double-booked, and everybody is served in the end', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3 }), fc.array(action, { maxLength: 60 }), (count, actions) => {
        const total = 4 * gib
        const rooms = Array.from({ length: count }, (_, index) => room(`device${index}`, total))
        const m = machine(rooms, 3)
        const held: number[] = []
        const waiting = new Set<number>()
        const take = (effects: Effect[]) => {
          for (const effect of effects) {
            if (effect.type === 'grant') {
              expect(m.state.entries.get(effect.entryId)?.phase).toBe('ready')
              held.push(effect.entryId)
              waiting.delete(effect.waiterId)
            }
            if (effect.type === 'reject') waiting.delete(effect.waiterId)
          }
          const entries = [...m.state.entries.values()]
          for (const { id } of rooms) {
            const here = entries.filter(({ shares }) => shares.some(({ deviceId }) => deviceId === id))
            expect(here.reduce((sum, { bytes }) => sum + bytes, 0)).toBeLessThanOrEqual(total)
            const keys = here.map(({ key }) => key)
            expect(new Set(keys).size, 'one copy of a model a device').toBe(keys.length)
          }
          for (const entry of entries) expect(entry.busy).toBeLessThanOrEqual(entry.plan.slots)
          expect(new Set(entries.map(({ key }) => key)).size).toBeLessThanOrEqual(3)
        }
        for (const act of actions) apply(m, act, held, waiting, take)
        drain(m, held, waiting, take)
        expect([...waiting]).toEqual([])
        expect(m.state.waiters.size).toBe(0)
      }),
      { numRuns: 300 },
    )
  })
})

type Act =
  | { do: 'ask'; key: string; context: number }
  | { do: 'pass'; ms: number }
  | { do: string; pick: number }

function apply(
  m: ReturnType<typeof machine>,
  act: Act,
  held: number[],
  waiting: Set<number>,
  take: (effects: Effect[]) => void,
): void {
  if ('key' in act) {
    const sizes: Record<string, number> = { a: gib, b: 1.5 * gib, c: 2 * gib, d: 3 * gib }
    const options = act.context > 0 ? { contextLength: act.context * 1024 } : {}
    try {
      const { waiterId, effects } = m.ask(wish(act.key, sizes[act.key] ?? gib, options))
      waiting.add(waiterId)
      take(effects)
    } catch (error) {
      expect(error).toMatchObject({ code: 'busy' })
    }
    return
  }
  if ('ms' in act) {
    take(m.pass(act.ms))
    return
  }
  const inPhase = (phases: string[]) =>
    [...m.state.entries.values()].filter((entry) => phases.includes(entry.phase))
  const pickOf = <T>(list: T[]): T | undefined => list[act.pick % Math.max(1, list.length)]
  if (act.do === 'load') loadOne(m, pickOf(inPhase(['loading']))?.id, take)
  if (act.do === 'release' && held.length > 0) {
    const [entryId] = held.splice(act.pick % held.length, 1)
    take(m.release(entryId ?? 0))
  }
  if (act.do === 'end') endOne(m, pickOf(inPhase(['closing']))?.id, held, take)
  if (act.do === 'crash') endOne(m, pickOf(inPhase(['ready']))?.id, held, take, 'crashed')
  if (act.do === 'withdraw') {
    const waiterId = pickOf([...waiting])
    if (waiterId !== undefined) {
      withdraw(m.state, waiterId)
      waiting.delete(waiterId)
      take(m.step())
    }
  }
}

function loadOne(
  m: ReturnType<typeof machine>,
  id: number | undefined,
  take: (effects: Effect[]) => void,
): void {
  if (id !== undefined) take(m.load(id))
}

function endOne(
  m: ReturnType<typeof machine>,
  id: number | undefined,
  held: number[],
  take: (effects: Effect[]) => void,
  crash?: string,
): void {
  if (id === undefined) return
  for (let i = held.length - 1; i >= 0; i--) if (held[i] === id) held.splice(i, 1)
  take(m.end(id, crash).effects)
}

/** Lets every launch and request come to its end. */
function drain(
  m: ReturnType<typeof machine>,
  held: number[],
  waiting: Set<number>,
  take: (effects: Effect[]) => void,
): void {
  for (let round = 0; round < 100 && (waiting.size > 0 || held.length > 0); round++) {
    take(m.pass(70_000))
    const entries: LifecycleState['entries'] = new Map(m.state.entries)
    for (const entry of entries.values()) {
      if (entry.phase === 'loading') take(m.load(entry.id))
      if (entry.phase === 'closing') endOne(m, entry.id, held, take)
    }
    const entryId = held.pop()
    if (entryId !== undefined) take(m.release(entryId))
  }
}
