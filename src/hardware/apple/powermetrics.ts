import type { OutputReader, Sensors, ThrottleReason } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { present } from '../units.ts'

const tool = 'powermetrics'

/** A decimal behind a label at the start of a line; the program leaves the zero before a point out. */
function figure(text: string, label: RegExp): number | undefined {
  const [, digits] = new RegExp(`^${label.source}\\s*:\\s*(\\d*\\.?\\d+)`, 'm').exec(text) ?? []
  const value = Number(digits)
  return digits !== undefined && Number.isFinite(value) ? value : undefined
}

/** Frequencies that the GPU was seen at or could have been, the last of all in brackets behind its residency. */
function highestMhz(text: string): number | undefined {
  const [line] = /^GPU (?:HW )?active residency.*$/m.exec(text) ?? []
  const all = [...(line ?? '').matchAll(/(\d+) MHz:/g)].map(([, mhz]) => Number(mhz))
  return all.length > 0 ? Math.max(...all) : undefined
}

/** The thermal pressure, where that sampler was on. */
function throttleOf(text: string): ThrottleReason[] | undefined {
  const [, level] = /^Current pressure level:\s*(\w+)/m.exec(text) ?? []
  return level === undefined ? undefined : level === 'Nominal' ? [] : ['sw_thermal']
}

function readSample(text: string): Sensors {
  const milliwatts = figure(text, /GPU Power/)
  const activePercent = figure(text, /GPU (?:HW )?active residency/) ?? figure(text, /GPU \d+ GPU Busy/)
  return present({
    powerWatts: milliwatts === undefined ? undefined : milliwatts / 1000,
    utilization: activePercent === undefined || activePercent > 100 ? undefined : activePercent / 100,
    graphicsClockMhz: figure(text, /GPU (?:HW )?active frequency/),
    graphicsClockMaxMhz: highestMhz(text),
    temperatureC: figure(text, /GPU die temperature/),
    throttle: throttleOf(text),
  })
}

/** The text of `powermetrics` with the sampler `gpu_power` (or `cpu_power`, which tells the GPU's power as well). */
export const powermetricsReader: OutputReader = {
  tool,
  matches: (text) =>
    /^(?:\*\*\* Sampled system activity|GPU Power:|GPU (?:HW )?active (?:residency|frequency))/m.test(text),
  read(text) {
    const samples = text.split(/^\*\*\* Sampled system activity.*$/m)
    const sensors = readSample(samples.at(-1) ?? '')
    const isGpu = /^GPU\b/m.test(samples.at(-1) ?? '')
    if (!isGpu || Object.keys(sensors).length === 0) {
      return refused('the last sample says nothing of the GPU: add "--samplers gpu_power"')
    }
    const taken = samples.length - 1
    const notes = taken > 1 ? [`${taken} samples: the last is given`] : []
    return readingOf(tool, { devices: [{ vendor: 'apple', source: tool, index: 0, sensors }], notes })
  },
}
