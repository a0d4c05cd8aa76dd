import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { arc, arcPath, open } from './cards.fixture.ts'
import { intelProbe } from './index.ts'
import { machine } from './machine.fixture.ts'

describe('the sensors', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] })
  })
  afterEach(() => {
    vi.useRealTimers()
  })

  const device = `/sys/devices/${arcPath}`

  it('tell power and utilization from two looks, and run no program', async () => {
    const { system, files, runs, reads } = machine({ files: { ...arc }, devices: open })
    const [first] = await intelProbe.sample(system)
    expect(first?.sensors).not.toHaveProperty('powerWatts')
    vi.advanceTimersByTime(1000)
    files[`${device}/hwmon/hwmon4/energy1_input`] = '223500000\n'
    files[`${device}/tile0/gt0/gtidle/idle_residency_ms`] = '5250\n'
    reads.length = 0
    const [second] = await intelProbe.sample(system)
    expect(second).toMatchObject({
      pciAddress: '0000:03:00.0',
      sensors: { powerWatts: 123.5, utilization: 0.75, temperatureC: 51, pcie: { generation: 4, width: 8 } },
    })
    expect(second).not.toHaveProperty('state')
    expect(runs).toEqual([])
    expect(reads.length).toBeLessThan(30)
  })

  it('tell no power where the counter went back, and none from two looks at once', async () => {
    const { system, files } = machine({ files: { ...arc }, devices: open })
    await intelProbe.sample(system)
    const [atOnce] = await intelProbe.sample(system)
    expect(atOnce?.sensors).not.toHaveProperty('powerWatts')
    vi.advanceTimersByTime(1000)
    files[`${device}/hwmon/hwmon4/energy1_input`] = '5\n'
    const [later] = await intelProbe.sample(system)
    expect(later?.sensors).not.toHaveProperty('powerWatts')
    expect(later?.sensors).toHaveProperty('utilization', 1)
  })

  it('leave a card that sleeps asleep', async () => {
    const { system, files, reads } = machine({
      files: { ...arc, [`${device}/power/runtime_status`]: 'suspended\n' },
    })
    await intelProbe.list(system)
    reads.length = 0
    expect(await intelProbe.sample(system)).toMatchObject([{ pciAddress: '0000:03:00.0', sensors: {} }])
    expect(reads.filter((path) => /hwmon|freq|idle|link/.test(path))).toEqual([])
    files[`${device}/power/runtime_status`] = 'active\n'
    expect(await intelProbe.sample(system)).toMatchObject([{ sensors: { temperatureC: 51 } }])
  })

  it('say that a card is lost when it is gone, or no longer answers on the bus', async () => {
    const { system, files } = machine({ files: { ...arc } })
    await intelProbe.list(system)
    files[`${device}/current_link_width`] = '63\n'
    expect(await intelProbe.sample(system)).toMatchObject([
      { state: 'lost', stateReason: expect.stringContaining('does not answer') },
    ])
    delete files['/sys/class/drm/card1/device']
    expect(await intelProbe.sample(system)).toMatchObject([
      { state: 'lost', pciAddress: '0000:03:00.0', stateReason: expect.stringContaining('card1 is gone') },
    ])
  })

  it.each([
    ['none', []],
    ['pl1 thermal', ['power_cap', 'hw_thermal']],
    ['prochot', ['hw_thermal']],
    ['pl4', ['current_limit']],
    ['vr_thermalert vr_tdc', ['hw_thermal', 'current_limit']],
    ['something_new', ['other']],
  ])('read "%s" of the file that holds all reasons', async (text, expected) => {
    const { system } = machine({
      files: { ...arc, [`${device}/tile0/gt0/freq0/throttle/reasons`]: `${text}\n` },
    })
    expect(await intelProbe.sample(system)).toMatchObject([{ sensors: { throttle: expected } }])
  })
})
