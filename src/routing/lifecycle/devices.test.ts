import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { deviceLost, keepAlive, launchFailed, probed, restart } from './decide.ts'
import { gib, launchOf, loaded, machine, minute, only, room, wish } from './testing.ts'

const twoCards = () => [room('gpu0', 24 * gib), room('gpu1', 24 * gib)]

describe('several devices', () => {
  it('take different models before any takes two', () => {
    const m = machine(twoCards())
    const first = launchOf(m.ask(wish('a', gib)).effects)
    const second = launchOf(m.ask(wish('b', gib)).effects)
    const third = launchOf(m.ask(wish('c', gib)).effects)
    expect([first, second, third].map((launch) => launch?.deviceIds)).toEqual([['gpu0'], ['gpu1'], ['gpu0']])
  })

  it('are taken fastest first, the slowed down ones last, and the fallback when there is no other', () => {
    const slow = room('slow', 8 * gib, { speed: 1 })
    const fast = room('fast', 8 * gib, { speed: 5 })
    const hot = room('hot', 8 * gib, { speed: 9, degraded: true })
    const cpu = room('cpu', 64 * gib, { speed: 99, fallback: true })
    const where = (rooms: ReturnType<typeof room>[]) => launchOf(machine(rooms).ask(wish('a', gib)).effects)
    expect(where([slow, fast, hot, cpu])?.deviceIds).toEqual(['fast'])
    expect(where([slow, hot])?.deviceIds).toEqual(['slow'])
    expect(where([hot, cpu])?.deviceIds).toEqual(['hot'])
    expect(where([cpu])?.deviceIds).toEqual(['cpu'])
  })

  it('share a model that fits on none of them alone', () => {
    const m = machine([
      room('gpu0', 8 * gib, { spreads: true }),
      room('gpu1', 4 * gib, { spreads: true }),
      room('cpu', 16 * gib, { spreads: true, fallback: true }),
    ])
    const launch = launchOf(m.ask(wish('big', 20 * gib)).effects)
    expect(launch?.deviceIds).toEqual(['gpu0', 'gpu1', 'cpu'])
    const shares = m.state.entries.get(launch?.entryId ?? 0)?.shares ?? []
    expect(shares.reduce((sum, { bytes }) => sum + bytes, 0)).toBeCloseTo(20 * gib)
  })

  it('get one more copy of a model only when every slot is taken, and none beyond their number', () => {
    const m = machine(twoCards(), 3, 100)
    const first = loaded(m, wish('a', gib))
    expect(launchOf(m.ask(wish('a', gib)).effects)).toBeUndefined()
    expect(launchOf(m.ask(wish('a', gib)).effects)).toBeUndefined()
    const third = m.ask(wish('a', gib))
    const copy = launchOf(third.effects)
    expect(copy?.deviceIds).toEqual(['gpu1'])
    expect(launchOf(m.ask(wish('a', gib)).effects), 'the copy has two slots').toBeUndefined()
    expect(launchOf(m.ask(wish('a', gib)).effects), 'both devices have theirs').toBeUndefined()
    expect(only(m.load(copy?.entryId ?? 0), 'grant').map(({ waiterId }) => waiterId)).toContain(
      third.waiterId,
    )
    expect(first).not.toBe(copy?.entryId)
  })

  it('hand the next request to the copy with the smaller share of its slots taken', () => {
    const m = machine(twoCards(), 3, 100)
    loaded(m, wish('a', gib))
    const asked = [1, 2, 3, 4].map(() => m.ask(wish('a', gib)))
    const copy = launchOf(asked.flatMap(({ effects }) => effects))?.entryId ?? 0
    m.load(copy)
    for (const entry of m.state.entries.values()) expect(entry.busy).toBe(2)
    m.release(copy)
    const [grant] = only(m.ask(wish('a', gib)).effects, 'grant')
    expect(grant?.entryId).toBe(copy)
  })

  it('spare a request the copy on which it has failed', () => {
    const m = machine(twoCards(), 3, 100)
    const failed = loaded(m, wish('a', gib))
    const { effects } = m.ask(wish('a', gib), { avoid: new Set([failed]) })
    expect(only(effects, 'grant')).toEqual([])
    expect(launchOf(effects)?.deviceIds).toEqual(['gpu1'])
  })

  it('close the only copy when a request has failed on it, and load it anew', () => {
    const m = machine([room('gpu0', 2 * gib)])
    const failed = loaded(m, wish('a', gib))
    const { effects } = m.ask(wish('a', gib), { avoid: new Set([failed]) })
    expect(only(effects, 'close')).toEqual([{ type: 'close', entryId: failed, reason: 'reload' }])
    expect(launchOf(m.end(failed).effects)).toBeDefined()
  })

  it('count a request that needs no slot as none', () => {
    const m = machine(twoCards(), 3, 100)
    const entryId = loaded(m, wish('a', gib))
    m.ask(wish('a', gib))
    m.ask(wish('a', gib))
    const { effects } = m.ask(wish('a', gib), { slotless: true })
    expect(only(effects, 'grant')).toMatchObject([{ entryId }])
    expect(launchOf(effects)).toBeUndefined()
  })

  it('hold no more requests at once than is set for them', () => {
    const m = machine([room('gpu0', 8 * gib)], 3, 100, new Map([['gpu0', 1]]))
    loaded(m, wish('a', gib))
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toHaveLength(1)
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toHaveLength(0)
  })

  it('take what another device is not allowed to, though that has slots free', () => {
    const m = machine([room('gpu0', 2 * gib), room('gpu1', 2 * gib)], 3, 100, new Map([['gpu0', 1]]))
    const first = loaded(m, wish('a', gib))
    for (let i = 0; i < 2; i++) m.ask(wish('a', gib))
    const copy = [...m.state.entries.values()].find(({ id }) => id !== first)
    m.load(copy?.id ?? 0)
    expect(m.state.entries.get(first)?.busy).toBe(1)
    const grants = only(m.ask(wish('a', gib)).effects, 'grant')
    expect(grants.map(({ entryId }) => entryId)).toEqual([copy?.id])
  })

  it('start a larger context beside the smaller one where another device has room', () => {
    const m = machine(twoCards())
    loaded(m, wish('a', gib, { contextLength: 2048 }))
    const { effects } = m.ask(wish('a', gib, { contextLength: 8192 }))
    expect(launchOf(effects)?.deviceIds).toEqual(['gpu1'])
    expect(only(effects, 'close')).toEqual([])
  })

  it('lose the copies of a model before the only instance of another', () => {
    const m = machine([room('gpu0', 4 * gib), room('gpu1', 4 * gib), room('gpu2', 4 * gib)], 3, 100)
    loaded(m, wish('single', 3 * gib))
    const kept = loaded(m, wish('copied', 3 * gib))
    for (let i = 0; i < 3; i++) m.ask(wish('copied', 3 * gib))
    const copy = [...m.state.entries.values()].find(({ phase }) => phase === 'loading')
    m.load(copy?.id ?? 0)
    for (const entry of m.state.entries.values()) while (entry.inUse > 0) m.release(entry.id)
    const closes = only(m.ask(wish('new', 3 * gib)).effects, 'close')
    expect(closes).toHaveLength(1)
    expect([kept, copy?.id]).toContain(closes[0]?.entryId)
  })

  it('keep a model that is asked to stay, and let its further copies go when they are needed', () => {
    const m = machine(twoCards(), 3, 100)
    loaded(m, wish('a', 20 * gib))
    keepAlive(m.state, 'a', Number.POSITIVE_INFINITY)
    for (let i = 0; i < 3; i++) m.ask(wish('a', 20 * gib))
    for (const entry of m.state.entries.values()) {
      if (entry.phase === 'loading') m.load(entry.id)
      expect(entry.keepAliveMs).toBe(Number.POSITIVE_INFINITY)
    }
    for (const entry of m.state.entries.values()) while (entry.inUse > 0) m.release(entry.id)
    expect(only(m.ask(wish('b', 20 * gib)).effects, 'close')).toHaveLength(1)
  })
})

describe('a load that runs out of memory', () => {
  const failure = new DroverError('insufficient_memory', 'cudaMalloc failed: out of memory')

  it('is tried again with half the slots, then half the context, before anybody hears of it', () => {
    const m = machine(twoCards())
    let launch = launchOf(m.ask(wish('a', gib)).effects)
    const tried: unknown[] = []
    while (launch && tried.length < 9) {
      tried.push([launch.plan.slots, launch.plan.contextLength])
      launchFailed(m.state, launch.entryId, failure, m.now())
      launch = launchOf(m.step())
    }
    expect(tried).toEqual([
      [2, 4096],
      [1, 4096],
      [1, 2048],
      // The other card, with what is left.
      [1, 2048],
    ])
    expect(m.state.waiters.size).toBe(0)
  })

  it('keeps the context that was asked for by name', () => {
    const m = machine(twoCards())
    let launch = launchOf(m.ask(wish('a', gib, { contextLength: 4096 })).effects)
    const contexts: (number | undefined)[] = []
    while (launch && contexts.length < 9) {
      contexts.push(launch.plan.contextLength)
      launchFailed(m.state, launch.entryId, failure, m.now())
      launch = launchOf(m.step())
    }
    expect(contexts).toEqual([4096, 4096, 4096])
  })
})

describe('a device that fails', () => {
  it('is avoided by the model that crashed on it', () => {
    const m = machine(twoCards())
    const entryId = loaded(m, wish('a', gib))
    m.end(entryId, 'segmentation fault')
    expect(launchOf(m.ask(wish('a', gib)).effects)?.deviceIds).toEqual(['gpu1'])
  })

  it('is quarantined after crashes of different models, and let back after a probe', () => {
    const m = machine([room('gpu0', 24 * gib, { speed: 2 }), room('gpu1', 24 * gib)])
    for (const key of ['a', 'b', 'c']) {
      const entryId = loaded(m, wish(key, gib))
      expect(m.state.entries.get(entryId)?.shares[0]?.deviceId).toBe('gpu0')
      m.end(entryId, 'CUDA error')
    }
    expect(launchOf(m.ask(wish('d', gib)).effects)?.deviceIds).toEqual(['gpu1'])
    expect(only(m.pass(29_999), 'probe')).toEqual([])
    expect(only(m.pass(1), 'probe')).toEqual([{ type: 'probe', deviceId: 'gpu0' }])
    probed(m.state, 'gpu0', m.now(), true)
    expect(launchOf(m.ask(wish('e', gib)).effects)?.deviceIds).toEqual(['gpu0'])
  })

  it('stays out for twice as long when the probe fails', () => {
    const m = machine(twoCards())
    deviceLost(m.state, 'gpu0', m.now(), 'fell off the bus')
    m.step()
    expect(only(m.pass(30_000), 'probe')).toHaveLength(1)
    probed(m.state, 'gpu0', m.now(), false)
    expect(only(m.pass(59_999), 'probe')).toEqual([])
    expect(only(m.pass(1), 'probe')).toHaveLength(1)
  })

  it('is tried at once when it is said to be back, and used when it works', () => {
    const m = machine(twoCards())
    deviceLost(m.state, 'gpu0', m.now(), 'its machine does not answer')
    m.step()
    m.pass(30_000)
    probed(m.state, 'gpu0', m.now(), false)
    m.pass(5_000)
    deviceLost(m.state, 'gpu0', m.now(), undefined)
    expect(only(m.step(), 'probe')).toEqual([{ type: 'probe', deviceId: 'gpu0' }])
    probed(m.state, 'gpu0', m.now(), true)
    expect(launchOf(m.ask(wish('a', gib)).effects)?.deviceIds).toEqual(['gpu0'])
  })

  it('is used all the same when it is the only one', () => {
    const m = machine([room('gpu0', 24 * gib)])
    for (const key of ['a', 'b', 'c']) m.end(loaded(m, wish(key, gib)), 'CUDA error')
    expect(launchOf(m.ask(wish('d', gib)).effects)?.deviceIds).toEqual(['gpu0'])
  })

  it('takes its instances along when it is lost, and their requests go elsewhere', () => {
    const m = machine(twoCards())
    const entryId = loaded(m, wish('a', gib))
    m.ask(wish('a', gib))
    deviceLost(m.state, 'gpu0', m.now(), 'XID 79')
    expect(only(m.step(), 'close')).toEqual([{ type: 'close', entryId, reason: 'device_lost' }])
    m.end(entryId)
    expect(launchOf(m.ask(wish('a', gib)).effects)?.deviceIds).toEqual(['gpu1'])
  })

  it('ends a load that is under way on it, and those who wait are served elsewhere', () => {
    const m = machine(twoCards())
    const { effects } = m.ask(wish('a', gib))
    deviceLost(m.state, 'gpu0', m.now(), 'XID 79')
    m.step()
    const entryId = launchOf(effects)?.entryId ?? 0
    expect(launchFailed(m.state, entryId, new DroverError('engine_crashed', 'lost'), m.now())).toEqual([])
    expect(launchOf(m.step())?.deviceIds).toEqual(['gpu1'])
  })
})

describe('a load that fails for its device', () => {
  const unavailable = new DroverError('engine_unavailable', 'nothing answers there')

  it('is tried on each other device once, and then refused with the last reason', () => {
    const m = machine(twoCards())
    const first = launchOf(m.ask(wish('a', gib)).effects)
    expect(launchFailed(m.state, first?.entryId ?? 0, unavailable, m.now())).toEqual([])
    const second = launchOf(m.step())
    expect(second?.deviceIds).toEqual(['gpu1'])
    expect(launchFailed(m.state, second?.entryId ?? 0, unavailable, m.now())).toEqual([])
    const [reject] = only(m.step(), 'reject')
    expect(reject?.error).toBe(unavailable)
    expect(launchOf(m.ask(wish('a', gib)).effects), 'the next request tries anew').toBeDefined()
  })

  it('is not tried again where the model itself is at fault', () => {
    const m = machine(twoCards())
    const first = launchOf(m.ask(wish('a', gib)).effects)
    const broken = new DroverError('load_failed', 'bad magic')
    expect(launchFailed(m.state, first?.entryId ?? 0, broken, m.now())).toHaveLength(1)
  })
})

describe('an instance that crashes', () => {
  it('is back within a second for as long as it had served, and no request is refused', () => {
    const m = machine(twoCards())
    for (let crash = 0; crash < 50; crash++) {
      const launch = launchOf(m.ask(wish('a', gib)).effects) ?? launchOf(m.pass(1000))
      m.load(launch?.entryId ?? 0)
      m.release(launch?.entryId ?? 0, true)
      m.end(launch?.entryId ?? 0, 'SIGKILL')
    }
    expect(m.now()).toBeLessThanOrEqual(50_000)
  })
})

describe('a rolling restart', () => {
  it('starts the successor first, moves new requests to it, and lets the old one finish', () => {
    const m = machine([room('gpu0', 24 * gib)])
    const old = loaded(m, wish('a', gib))
    m.ask(wish('a', gib))
    expect(restart(m.state, 'a')).toBe(1)
    const successor = launchOf(m.step())?.entryId ?? 0
    expect(only(m.ask(wish('a', gib)).effects, 'grant'), 'until then the old one serves').toMatchObject([
      { entryId: old },
    ])
    m.load(successor)
    expect(only(m.ask(wish('a', gib)).effects, 'grant')).toMatchObject([{ entryId: successor }])
    m.release(old)
    expect(only(m.release(old), 'close')).toEqual([{ type: 'close', entryId: old, reason: 'restart' }])
  })

  it('closes the old one first where there is no room for both, and brings it back', () => {
    const m = machine([room('gpu0', 1.5 * gib)])
    const old = loaded(m, wish('a', gib))
    restart(m.state, 'a')
    expect(only(m.step(), 'close')).toEqual([{ type: 'close', entryId: old, reason: 'restart' }])
    expect(m.end(old).comesBack).toBe(true)
  })

  it('keeps the old one when the new one does not come up', () => {
    const m = machine([room('gpu0', 24 * gib)])
    const old = loaded(m, wish('a', gib))
    restart(m.state, 'a')
    const successor = launchOf(m.step())?.entryId ?? 0
    launchFailed(m.state, successor, new DroverError('load_failed', 'no such file'), m.now())
    const effects = m.pass(minute)
    expect(launchOf(effects)).toBeUndefined()
    expect(m.state.entries.get(old)?.phase).toBe('ready')
  })
})
