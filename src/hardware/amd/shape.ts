import type { DeviceReading, Sensors } from '../contract.ts'
import { present } from '../units.ts'

/** A reading of one of AMD's cards without the fields that are not told. */
export function amdReading(
  source: string,
  fields: { [K in keyof DeviceReading]?: DeviceReading[K] | undefined },
): DeviceReading {
  return present({ vendor: 'amd' as const, source, ...fields }) as DeviceReading
}

/** Sensors without the fields that are not told; undefined where none is. */
export function sensorsOf(fields: { [K in keyof Sensors]: Sensors[K] | undefined }): Sensors | undefined {
  return filled(present(fields) as Sensors)
}

/** `value`, or undefined where it has no field. */
export function filled<T extends object>(value: T): T | undefined {
  return Object.keys(value).length > 0 ? value : undefined
}

/**
 * Temperatures under the contract's names. Cards for servers tell no edge temperature: the hottest point is then the
 * card's temperature too, as rocm-smi and amd-smi show it.
 */
export function temperatures(
  edge: number | undefined,
  hotspot: number | undefined,
  memory: number | undefined,
) {
  return { temperatureC: edge ?? hotspot, hotspotC: hotspot, memoryTemperatureC: memory }
}

/** A percentage in any cell as a share; firmware counters go a little beyond 100. */
export function shareOf(percent: number | undefined): number | undefined {
  if (percent === undefined || percent < 0 || percent > 110) return undefined
  return Math.min(percent, 100) / 100
}
