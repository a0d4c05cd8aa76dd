import type { ThrottleReason } from '../contract.ts'
import { at, isTree, type Tree, type Value } from './tree.ts'

/** The violations of `amd-smi metric --throttle`; `total` holds low use too, and says nothing of its own. */
const violations: Readonly<Record<string, ThrottleReason>> = {
  prochot: 'hw_thermal',
  ppt: 'power_cap',
  socket_thermal: 'sw_thermal',
  vr_thermal: 'sw_thermal',
  hbm_thermal: 'sw_thermal',
  gfx_clk_below_host_limit: 'other',
  gfx_clk_below_host_limit_power: 'power_cap',
  gfx_clk_below_host_limit_thermal: 'sw_thermal',
  low_utilization: 'idle',
}

/** Why a card is slowed, by the block `throttle` of its metrics; undefined where that is not there. */
export function throttleOf(tree: Tree): ThrottleReason[] | undefined {
  const block = at(tree, 'throttle')
  if (!isTree(block)) return undefined
  const reasons = new Set<ThrottleReason>()
  let told = false
  for (const [name, reason] of Object.entries(violations)) {
    const words = wordsOf(block[`${name}_violation_status`])
    if (words.some((word) => /^(not active|false)$/i.test(word))) told = true
    if (words.some((word) => /^(active|true)$/i.test(word))) reasons.add(reason)
  }
  return told || reasons.size > 0 ? [...reasons] : undefined
}

/** All words of a value: newer tools give one for each die of each partition. */
function wordsOf(value: Value | undefined): string[] {
  if (typeof value === 'string') return value.split(/[[\],]/).map((word) => word.trim())
  if (value === undefined) return []
  return (isTree(value) ? Object.values(value) : value).flatMap(wordsOf)
}

/** Names of the firmware's limiters (`amdgpu_smu.h` in the kernel), by how they begin. */
const limiters: readonly (readonly [RegExp, ThrottleReason])[] = [
  [/^PPT|^SPL|^FPPT|^SPPT|^APU_/i, 'power_cap'],
  [/^(TDC|EDC)/i, 'current_limit'],
  [/^(PROCHOT|VRHOT)/i, 'hw_thermal'],
  [/^TEMP/i, 'sw_thermal'],
]

/** A limiter's name in amdgpu_top, as `PPT0` or `TEMP_HOTSPOT`. */
export function throttleOfLimiter(name: string): ThrottleReason {
  return limiters.find(([pattern]) => pattern.test(name))?.[1] ?? 'other'
}
