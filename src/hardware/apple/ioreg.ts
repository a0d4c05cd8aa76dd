import type { DeviceReading, OutputReader, Sensors } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { present, textOf } from '../units.ts'

const tool = 'ioreg'

/** One accelerator: from its `+-o` line to the next. */
interface Section {
  className: string
  body: string
}

function sectionsOf(text: string): Section[] {
  return text
    .split(/^[ \t|]*\+-o /m)
    .slice(1)
    .map((body) => ({ className: /<class (\w+)/.exec(body)?.[1] ?? /^(\w+)/.exec(body)?.[1] ?? '', body }))
    .filter(
      ({ className, body }) => /Accelerator/.test(className) || body.includes('"PerformanceStatistics"'),
    )
}

const escaped = (key: string) => key.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** The first of the keys that the text holds; their order there differs from version to version. */
function figure(text: string, ...keys: readonly string[]): number | undefined {
  for (const key of keys) {
    const [, digits] = new RegExp(`"${escaped(key)}"\\s*=\\s*(\\d+)`).exec(text) ?? []
    const value = Number(digits)
    if (Number.isSafeInteger(value)) return value
  }
  return undefined
}

/** A share of the time, from percents; a figure beyond 100 is none. */
const share = (percent: number | undefined) =>
  percent === undefined || percent > 100 ? undefined : percent / 100

/** The keys of Apple's GPUs, then those of AMD's in Intel Macs. */
function readSensors(body: string): Sensors {
  return present({
    utilization: share(figure(body, 'Device Utilization %', 'GPU Activity(%)')),
    memoryUsedBytes: figure(body, 'In use system memory', 'vramUsedBytes', 'inUseVidMemoryBytes'),
    temperatureC: figure(body, 'Temperature(C)'),
    powerWatts: figure(body, 'Total Power(W)'),
    graphicsClockMhz: figure(body, 'Core Clock(MHz)'),
    memoryClockMhz: figure(body, 'Memory Clock(MHz)'),
    fanRpm: figure(body, 'Fan Speed(RPM)'),
  })
}

function readSection({ className, body }: Section, index: number): DeviceReading {
  const [, generation] = /^AGXAccelerator(\w+)$/.exec(className) ?? []
  // AMD's drivers give the name as bytes in angle brackets; those are left out.
  const [, model] = /"model"\s*=\s*<?"([^"]*)"/.exec(body) ?? []
  const isApple = className.startsWith('AGX')
  const sensors = readSensors(body)
  return present({
    vendor: isApple
      ? 'apple'
      : /AMD|Radeon/.test(className)
        ? 'amd'
        : /Intel/.test(className)
          ? 'intel'
          : 'other',
    source: tool,
    index,
    name: textOf(model),
    kind: isApple ? 'integrated' : undefined,
    architecture: generation,
    computeUnits: figure(body, 'gpu-core-count'),
    sensors: Object.keys(sensors).length > 0 ? sensors : undefined,
  })
}

/** `ioreg -r -d 1 -w 0 -c AGXAccelerator`, or `-c IOAccelerator` on Intel Macs. */
export const ioregReader: OutputReader = {
  tool,
  matches: (text) => /^[ \t|]*\+-o \w/m.test(text),
  read(text) {
    const sections = sectionsOf(text)
    if (sections.length === 0) return refused('no entry is a graphics accelerator')
    return readingOf(tool, { devices: sections.map(readSection) })
  },
}
