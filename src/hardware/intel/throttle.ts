import type { ThrottleReason } from '../contract.ts'

/**
 * Words of xpu-smi and of the kernel's files, the most telling first. PL1 and PL2 are limits of power over seconds and
 * over milliseconds, PL4 of the current that the supply can give; RATL and PROCHOT are the chip's guards of heat
 * (drivers/gpu/drm/xe/xe_gt_throttle.c).
 */
const words: readonly (readonly [RegExp, ThrottleReason])[] = [
  [/psu|power.?supply/, 'hw_power_brake'],
  [/therm|ratl|prochot|temperature|\bhot\b/, 'hw_thermal'],
  [/pl4|icc.?max|tdc|current|fastvmode|psys.?crit/, 'current_limit'],
  [/volt/, 'voltage'],
  [/pl[12]|pwr|power|burst|average/, 'power_cap'],
  [/sw.?range|software/, 'application_clocks'],
  [/hw.?range|hardware/, 'hw_slowdown'],
]

/** The reason behind one word, such as `pl1`, `reason_vr_thermalert` or `THERMAL_LIMIT`. */
export function throttleReasonOf(word: string): ThrottleReason {
  const lower = word.toLowerCase()
  return words.find(([pattern]) => pattern.test(lower))?.[1] ?? 'other'
}

/**
 * The reasons in a text of xpu-smi, parted by commas, bars or semicolons: empty for `Not Throttled` and `none`;
 * undefined where nothing is told.
 */
export function throttleOf(text: string | undefined): ThrottleReason[] | undefined {
  return reasonsIn(text, /[,;|\n]+/)
}

/** The reasons in a file of the kernel: `none`, or names parted by blanks. */
export function throttleOfFile(text: string): ThrottleReason[] | undefined {
  return reasonsIn(text, /\s+/)
}

function reasonsIn(text: string | undefined, mark: RegExp): ThrottleReason[] | undefined {
  const said = text?.trim() ?? ''
  if (said === '' || /^(n\/a|unknown|-+)$/i.test(said)) return undefined
  if (/^(none|not throttled|0)$/i.test(said)) return []
  const parts = said.split(mark).filter((part) => part.trim() !== '')
  return distinct(parts.map(throttleReasonOf))
}

/** Bits of `zes_freq_throttle_reason_flags_t` (Level Zero specification, Sysman). */
const flags: readonly (readonly [number, ThrottleReason])[] = [
  [1, 'power_cap'],
  [2, 'power_cap'],
  [4, 'current_limit'],
  [8, 'hw_thermal'],
  [16, 'hw_power_brake'],
  [32, 'application_clocks'],
  [64, 'hw_slowdown'],
]

/** The reasons in a number of Level Zero's flags. */
export function throttleOfFlags(value: number): ThrottleReason[] {
  const known = flags.filter(([bit]) => (value & bit) !== 0).map(([, reason]) => reason)
  return distinct(value >= 128 ? [...known, 'other'] : known)
}

export function distinct<T>(values: readonly T[]): T[] {
  return [...new Set(values)]
}
