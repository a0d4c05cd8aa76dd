import { expect, it, vi } from 'vitest'
import { quietLog } from '../../../test/support/quiet-log.ts'
import type { DeviceProbe, DeviceReading } from '../contract.ts'
import { cardWith, judgeEvent, wellSensors } from '../health/testing.ts'
import { createMonitor } from './monitor.ts'

const ticks = 600
const devices = Array.from({ length: 8 }, (_, index) =>
  cardWith({ id: `GPU-${index}`, uuid: `GPU-${index}`, pciAddress: `0000:0${index}:00.0`, index }),
)

/** Readings as a tool's parser makes them: new each time, one card hot and one slowed down. */
function readings(tick: number): DeviceReading[] {
  return devices.map(({ vendor, uuid = '' }, index) => ({
    vendor,
    source: 'test',
    uuid,
    sensors: {
      ...wellSensors,
      temperatureC: index === 3 ? 94 : 60 + (tick % 7),
      throttle: index === 5 ? ['hw_thermal'] : [],
      powerWatts: 200 + (tick % 11),
      memoryUsedBytes: 2 ** 34 + tick,
      graphicsClockMhz: 1800,
      processes: [{ pid: 4000 + index, name: 'llama-server', memoryBytes: 2 ** 33 }],
    },
  }))
}

it('looking at eight cards once a second costs less than 1 % of a core', async () => {
  vi.useFakeTimers()
  let tick = 0
  const probe: DeviceProbe = {
    vendor: 'nvidia',
    list: async () => ({ vendor: 'nvidia', devices: [], links: [], places: [], problems: [] }),
    sample: async () => readings(tick++),
  }
  const system = {
    platform: 'linux' as const,
    env: {},
    run: async () => ({ outcome: 'missing' as const, stdout: '', stderr: '' }),
    readText: () => undefined,
    list: () => [],
    realPath: () => undefined,
    mayUse: () => undefined,
  }
  let changes = 0
  const monitor = createMonitor({
    system,
    probes: [probe],
    devices: () => devices,
    onVerdict: () => changes++,
    judgeEvent,
    log: quietLog,
  })
  const before = process.cpuUsage()
  await vi.advanceTimersByTimeAsync(ticks * 1000)
  const { user, system: kernel } = process.cpuUsage(before)
  monitor.close()
  vi.useRealTimers()
  const share = (user + kernel) / 1e6 / ticks
  console.info(
    `${tick} looks at 8 cards: ${((user + kernel) / 1000).toFixed(0)} ms, ${(share * 100).toFixed(3)} % of a core`,
  )
  expect(tick).toBeGreaterThanOrEqual(ticks)
  expect(changes).toBe(2)
  expect(share).toBeLessThan(0.01)
})
