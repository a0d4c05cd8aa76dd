import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { drain, launchFailed } from './decide.ts'
import { move, placeOnDevices } from './moves.ts'
import { gib, launchOf, loaded, machine, minute, only, room, wish } from './testing.ts'

const twoCards = () => [room('gpu0', 8 * gib), room('gpu1', 8 * gib)]
const broken = new DroverError('load_failed', 'the file is damaged')

/** A model on the first card, with a request that runs, on its way to the second. */
function moving(rooms = twoCards()) {
  const m = machine(rooms, 3, 100)
  const old = loaded(m, wish('a', gib))
  m.ask(wish('a', gib))
  const begun = move(m.state, { wish: wish('a', gib), leaving: [old], to: ['gpu1'], reason: 'heat' }, m.now())
  const effects = m.step()
  return { m, old, begun, effects, successor: launchOf(effects)?.entryId ?? 0 }
}

describe('a model that moves', () => {
  it('is started and warmed on the device that is named, while the old instance goes on', () => {
    const { m, old, begun, effects } = moving()
    expect(launchOf(effects)).toMatchObject({ deviceIds: ['gpu1'], warm: true })
    expect(begun).toMatchObject({ state: 'starting', from: ['gpu0'], to: ['gpu1'] })
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toMatchObject([{ entryId: old }])
  })

  it('leaves the old place when the new one is ready: caches first, then its requests, then itself', () => {
    const { m, old, begun, successor } = moving()
    expect(only(m.load(successor), 'keepCaches')).toEqual([{ type: 'keepCaches', entryId: old }])
    expect(begun.state).toBe('draining')
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toMatchObject([{ entryId: successor }])
    expect(only(m.release(old), 'close')).toEqual([{ type: 'close', entryId: old, reason: 'moved' }])
    m.end(old)
    expect(begun).toMatchObject({ state: 'done', successor })
    expect([...m.state.entries.keys()]).toEqual([successor])
  })

  it('hands over what outlasts the grace', () => {
    const { m, old, successor } = moving()
    m.state.limits.handOverAfterMs = minute
    expect(only(m.load(successor), 'handOver')).toEqual([])
    expect(only(m.pass(minute), 'handOver')).toEqual([{ type: 'handOver', entryId: old }])
  })

  it('stays where it is when the successor does not start, and takes requests as before', () => {
    const { m, old, begun, successor } = moving()
    expect(launchFailed(m.state, successor, broken, m.now())).toEqual([])
    m.step()
    expect(begun).toMatchObject({ state: 'failed', error: 'the file is damaged' })
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toMatchObject([{ entryId: old }])
    expect(only(m.step(), 'launch')).toEqual([])
  })

  it('stays when the successor dies before everybody has left', () => {
    const { m, old, begun, successor } = moving()
    m.load(successor)
    m.end(successor, 'segmentation fault')
    expect(begun).toMatchObject({ state: 'failed', error: 'segmentation fault' })
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toMatchObject([{ entryId: old }])
  })

  it('is drained all the same where somebody wants that', () => {
    const { m, old, successor } = moving()
    drain(m.state, old, m.now(), minute)
    launchFailed(m.state, successor, broken, m.now())
    m.step()
    expect(only(m.release(old), 'close')).toMatchObject([{ entryId: old, reason: 'drained' }])
  })

  it('does not begin where there is no room for it beside all that runs, and nobody goes for it', () => {
    const m = machine(twoCards())
    const old = loaded(m, wish('a', gib))
    loaded(m, wish('b', 8 * gib))
    const state = m.state
    const found = placeOnDevices(state, wish('a', gib), ['gpu1'], {
      devices: twoCards(),
      limitBytes: Number.POSITIVE_INFINITY,
    })
    expect(found).toMatchObject({ ok: false, message: expect.stringContaining('a needs') })
    const begun = move(state, { wish: wish('a', gib), leaving: [old], to: ['gpu1'], reason: 'heat' }, 0)
    expect(m.step().filter(({ type }) => type === 'launch' || type === 'close')).toEqual([])
    expect(begun).toMatchObject({ state: 'failed', error: expect.stringContaining('a needs') })
  })

  it('makes one way at a time', () => {
    const { m, old } = moving()
    const again = { wish: wish('a', gib), leaving: [old], to: ['gpu0'], reason: 'cold' }
    expect(() => move(m.state, again, m.now())).toThrow(`instance #${old} is on its way already`)
  })

  it('becomes one where it had several instances', () => {
    const m = machine([...twoCards(), room('gpu2', 8 * gib)], 3, 100)
    const first = loaded(m, wish('a', gib))
    for (let requests = 0; requests < 3; requests++) m.ask(wish('a', gib))
    const second = [...m.state.entries.keys()].find((id) => id !== first) ?? 0
    m.load(second)
    const begun = move(
      m.state,
      { wish: wish('a', gib), leaving: [first, second], to: ['gpu2'], reason: '' },
      0,
    )
    const successor = launchOf(m.step())?.entryId ?? 0
    m.load(successor)
    for (const id of [first, second]) {
      while ((m.state.entries.get(id)?.inUse ?? 0) > 0) m.release(id)
      m.end(id)
    }
    expect(begun.state).toBe('done')
    expect([...m.state.entries.keys()]).toEqual([successor])
  })

  it('is remembered for a while when it is done', () => {
    const m = machine(twoCards())
    const nowhere = { wish: wish('a', 99 * gib), leaving: [], to: ['gpu0'], reason: '' }
    for (let times = 0; times < 50; times++) {
      move(m.state, nowhere, m.now())
      m.step()
    }
    expect(m.state.moves.size).toBeLessThan(40)
  })
})

describe('a model that finds no room', () => {
  /** A small one lies on the only card that is large enough. */
  function crowded(defragments: boolean) {
    const m = machine([room('large', 12 * gib, { speed: 2 }), room('small', 4 * gib)], 3, 100)
    m.state.limits.defragments = defragments
    const small = loaded(m, wish('small', 3 * gib))
    return { m, small, effects: m.ask(wish('huge', 11 * gib)).effects }
  }

  it('has a smaller one moved for it, which is not unloaded', () => {
    const { m, small, effects } = crowded(true)
    expect(launchOf(effects)).toMatchObject({ wish: { key: 'small' }, deviceIds: ['small'] })
    expect(only(effects, 'close')).toEqual([])
    const after = m.load(launchOf(effects)?.entryId ?? 0)
    expect(only(after, 'close')).toEqual([{ type: 'close', entryId: small, reason: 'moved' }])
    expect(launchOf(m.end(small).effects)).toMatchObject({ wish: { key: 'huge' }, deviceIds: ['large'] })
  })

  it('has it unloaded where it may not move, or could not', () => {
    const { effects } = crowded(false)
    expect(only(effects, 'close')).toMatchObject([{ reason: 'evicted' }])
    const { m, small, effects: begun } = crowded(true)
    launchFailed(m.state, launchOf(begun)?.entryId ?? 0, broken, m.now())
    expect(only(m.step(), 'close')).toEqual([{ type: 'close', entryId: small, reason: 'evicted' }])
  })
})

describe('a model over several devices', () => {
  const rooms = () => ['gpu0', 'gpu1', 'gpu2'].map((id) => room(id, 8 * gib, { spreads: true }))
  /** Its planner takes two devices of those that it is offered. */
  const spread = (bytes: number, prefers?: 'tensor' | 'single') => ({
    ...wish('big', bytes),
    ...(prefers && { prefers }),
    spread: ({ devices, strategy }: { devices: readonly { deviceId: string }[]; strategy?: string }) => {
      const shares = devices.slice(0, 2).map(({ deviceId }) => ({ deviceId, bytes: bytes / 2 }))
      const plan = { contextLength: 4096, slots: strategy === 'tensor' ? 7 : 2, bytes, options: {} }
      return { ok: true as const, plan, shares }
    },
  })

  it('lies on those that its planner takes, with the memory that it says', () => {
    const m = machine(rooms())
    const launch = launchOf(m.ask(spread(12 * gib)).effects)
    expect(launch?.deviceIds).toEqual(['gpu0', 'gpu1'])
    const { shares } = m.state.entries.get(launch?.entryId ?? 0) ?? {}
    expect(shares).toEqual([
      { deviceId: 'gpu0', bytes: 6 * gib, mayFail: true },
      { deviceId: 'gpu1', bytes: 6 * gib, mayFail: true },
    ])
    expect(launchOf(m.ask(wish('small', 8 * gib)).effects)?.deviceIds).toEqual(['gpu2'])
  })

  it('takes one where it fits, unless its strategy says otherwise', () => {
    expect(launchOf(machine(rooms()).ask(spread(6 * gib)).effects)?.deviceIds).toEqual(['gpu0'])
    expect(launchOf(machine(rooms()).ask(spread(6 * gib, 'single')).effects)?.deviceIds).toEqual(['gpu0'])
    const split = launchOf(machine(rooms()).ask(spread(6 * gib, 'tensor')).effects)
    expect([split?.deviceIds, split?.plan.slots]).toEqual([['gpu0', 'gpu1'], 7])
  })

  it('moves to others as a whole', () => {
    const m = machine([...rooms(), room('gpu3', 8 * gib, { spreads: true })])
    const old = loaded(m, spread(12 * gib))
    move(m.state, { wish: spread(12 * gib), leaving: [old], to: ['gpu2', 'gpu3'], reason: '' }, m.now())
    expect(launchOf(m.step())?.deviceIds).toEqual(['gpu2', 'gpu3'])
  })

  it('has another instance on devices of its own, and no more than are wanted', () => {
    const four = [...rooms(), room('gpu3', 8 * gib, { spreads: true })]
    const ask = (m: ReturnType<typeof machine>, most?: number) => {
      const wished = { ...spread(12 * gib), ...(most !== undefined && { most }) }
      loaded(m, wished)
      return [1, 2, 3]
        .map(() => launchOf(m.ask(wished).effects)?.deviceIds)
        .filter((ids) => ids !== undefined)
    }
    expect(ask(machine(four, 3, 100))).toEqual([['gpu2', 'gpu3']])
    expect(ask(machine(four, 3, 100), 1)).toEqual([])
  })
})
