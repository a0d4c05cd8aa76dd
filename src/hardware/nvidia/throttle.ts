import type { ThrottleReason } from '../contract.ts'
import { type Cells, cell } from './cells.ts'
import { fields } from './fields.ts'

/** Bits of NVML's clocks event (once: throttle) reasons, lowest first, from nvml.h. */
const bits: readonly ThrottleReason[] = [
  'idle',
  'application_clocks',
  'power_cap',
  'hw_slowdown',
  'sync_boost',
  'sw_thermal',
  'hw_thermal',
  'hw_power_brake',
  'display_clocks',
]

/** The last word of a reason's key in any report. */
const named: Readonly<Record<string, ThrottleReason>> = {
  gpu_idle: 'idle',
  idle: 'idle',
  applications_clocks_setting: 'application_clocks',
  user_defined_clocks: 'application_clocks',
  sw_power_cap: 'power_cap',
  hw_slowdown: 'hw_slowdown',
  sync_boost: 'sync_boost',
  sw_thermal_slowdown: 'sw_thermal',
  hw_thermal_slowdown: 'hw_thermal',
  hw_power_brake_slowdown: 'hw_power_brake',
  display_clocks_setting: 'display_clocks',
  display_clock_setting: 'display_clocks',
}

const bookkeeping = new Set(['active', 'supported'])

/** The reasons in a mask as NVML gives it; bits that nvml.h does not name are `other`. */
export function throttleOfMask(mask: bigint): ThrottleReason[] {
  const reasons = bits.filter((_, bit) => (mask >> BigInt(bit)) & 1n)
  return mask >> BigInt(bits.length) === 0n ? reasons : [...reasons, 'other']
}

/** Why the card is slowed; undefined where the report does not tell. */
export function throttleOf(cells: Cells): ThrottleReason[] | undefined {
  const mask = cell(cells, fields.throttleMask)
  if (mask !== undefined && /^0x[0-9a-f]{1,16}$/i.test(mask)) return throttleOfMask(BigInt(mask))
  const reasons = new Set<ThrottleReason>()
  let told = false
  for (const [key, value] of cells) {
    if (!key.startsWith('clocks_event_reasons.')) continue
    const word = (key.split('.').at(-1) ?? '').replace('clocks_event_reason_', '')
    if (bookkeeping.has(word) || !/^(not )?active$/i.test(value)) continue
    told = true
    if (/^active$/i.test(value)) reasons.add(named[word] ?? 'other')
  }
  return told ? [...reasons] : undefined
}
