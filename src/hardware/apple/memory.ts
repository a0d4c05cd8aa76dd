import { present } from '../units.ts'

const gib = 1024 ** 3
const mib = 1024 ** 2

/** What is asked of `sysctl`; a name that this version of macOS does not have is missing in the answer. */
export const sysctlNames: readonly string[] = [
  'hw.memsize',
  'iogpu.wired_limit_mb',
  'debug.iogpu.wired_limit',
  'machdep.cpu.brand_string',
]

/** What `sysctl` tells of a Mac. */
export interface MacFacts {
  /** Memory that processor and GPU share. */
  memoryBytes?: number
  /** What the GPU may take of it. */
  gpuLimitBytes?: number
  /** `Apple M3 Max`; absent on Intel Macs. */
  chip?: string
}

/** Names and values of lines such as `hw.memsize: 68719476736`. */
export function parseSysctl(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^([\w.]+)(?::| =) *(.*)$/gm)].map(([, name = '', value = '']) => [name, value.trim()]),
  )
}

/**
 * What Metal may take of a memory of this size where nobody set a limit: two thirds up to 36 GiB, three quarters above
 * (observed as `recommendedMaxWorkingSetSize` of macOS 13 to 15).
 */
export function defaultGpuLimitBytes(memoryBytes: number): number {
  return Math.floor(memoryBytes <= 36 * gib ? (memoryBytes * 2) / 3 : (memoryBytes * 3) / 4)
}

/**
 * Reads the values of `sysctlNames`. The limit that an owner set (`iogpu.wired_limit_mb`; on macOS 13
 * `debug.iogpu.wired_limit`, in bytes) counts before the default, of which 0 stands for. No limit exceeds the memory.
 */
export function readMacFacts(values: ReadonlyMap<string, string>): MacFacts {
  const whole = (name: string) => {
    const value = Number(values.get(name) || Number.NaN)
    return Number.isSafeInteger(value) && value > 0 ? value : undefined
  }
  const memoryBytes = whole('hw.memsize')
  const limitMib = whole('iogpu.wired_limit_mb')
  const setBytes = limitMib === undefined ? whole('debug.iogpu.wired_limit') : limitMib * mib
  const brand = values.get('machdep.cpu.brand_string')
  const limit = setBytes ?? (memoryBytes === undefined ? undefined : defaultGpuLimitBytes(memoryBytes))
  return present({
    memoryBytes,
    gpuLimitBytes: limit === undefined ? undefined : Math.min(limit, memoryBytes ?? limit),
    chip: brand?.startsWith('Apple') ? brand : undefined,
  })
}
