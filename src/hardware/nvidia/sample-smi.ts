import type { DeviceReading, HostSystem } from '../contract.ts'
import { readQuery } from './query-csv.ts'
import { failureOf, smi } from './smi.ts'

/** What is asked each second where there is no NVML; a driver that does not know a field is asked without it. */
const wished = [
  'index',
  'uuid',
  'pci.bus_id',
  'utilization.gpu',
  'utilization.memory',
  'memory.total',
  'memory.used',
  'temperature.gpu',
  'temperature.memory',
  'power.draw',
  'enforced.power.limit',
  'clocks.gr',
  'clocks.mem',
  'clocks.max.gr',
  'clocks.max.mem',
  'clocks_throttle_reasons.active',
  'fan.speed',
  'pcie.link.gen.current',
  'pcie.link.width.current',
  'pcie.link.gen.max',
  'pcie.link.width.max',
  'ecc.errors.corrected.volatile.total',
  'ecc.errors.uncorrected.volatile.total',
  'remapped_rows.correctable',
  'remapped_rows.uncorrectable',
  'remapped_rows.pending',
  'remapped_rows.failure',
]

/** Looks at all cards with one `nvidia-smi --query-gpu`. */
export interface SmiSampler {
  /** The readings, or why there are none. */
  sample(system: HostSystem): Promise<{ readings: DeviceReading[]; missing: boolean; failure?: string }>
}

/** A sampler that remembers which fields this machine's driver knows. */
export function smiSampler(): SmiSampler {
  let fields = wished
  return {
    async sample(system) {
      for (;;) {
        const result = await smi(system, [`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'])
        if (result.outcome === 'missing') return { readings: [], missing: true }
        const unknown = unknownField(`${result.stdout}\n${result.stderr}`)
        const known = fields.filter((field) => field !== unknown)
        if (unknown !== undefined && known.length < fields.length && known.length > 0) {
          fields = known
          continue
        }
        const read = readQuery(result.stdout, fields)
        const readings = read.ok ? read.reading.devices : []
        const failure = readings.length > 0 ? undefined : failureOf(result)?.text
        return { readings, missing: false, ...(failure !== undefined && { failure }) }
      }
    },
  }
}

function unknownField(text: string): string | undefined {
  return /Field "([^"]+)" is not a valid field to query/i.exec(text)?.[1]
}
