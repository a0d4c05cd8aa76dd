import type { Device, Sensors } from '../contract.ts'
import type { EventVerdict, JudgeEvent } from './events.ts'
import type { Look } from './signs.ts'

/** A card that is well, with what differs. */
export function cardWith(different: Partial<Device> = {}): Device {
  return {
    id: 'GPU-1',
    vendor: 'nvidia',
    kind: 'discrete',
    name: 'Test card',
    state: 'ok',
    sources: ['test'],
    uuid: 'GPU-1',
    pciAddress: '0000:01:00.0',
    index: 0,
    memoryTotalBytes: 24 * 1024 ** 3,
    unifiedMemory: false,
    facts: { tflops: {}, supports: {} },
    ...different,
  }
}

/** What a card that is well tells. */
export const wellSensors: Sensors = {
  utilization: 0.9,
  temperatureC: 60,
  slowdownC: 95,
  throttle: [],
  fanRatio: 0.4,
  ecc: { corrected: 0, uncorrected: 0, retired: 0, pending: false, remapFailed: false },
  pcie: { generation: 4, maxGeneration: 4, width: 16, maxWidth: 16 },
}

/** One look a second from `fromS` to before `toS`, each with what differs from a card that is well. */
export function looks(fromS: number, toS: number, different: Sensors = {}): Look[] {
  return Array.from({ length: toS - fromS }, (_, offset) => ({
    atMs: (fromS + offset) * 1000,
    state: 'ok' as const,
    sensors: { ...wellSensors, ...different },
  }))
}

const severities: Readonly<Record<number, EventVerdict['severity']>> = {
  13: 'harmless',
  31: 'harmless',
  45: 'harmless',
  48: 'failing',
  63: 'degraded',
  79: 'lost',
}

/** A small catalogue in place of the vendor's. */
export const judgeEvent: JudgeEvent = ({ kind, code }) => {
  const severity = kind === 'xid' && code !== undefined ? severities[code] : undefined
  return severity && { severity, meaning: `meaning of ${code}`, advice: `advice for ${code}` }
}
