import type { DeviceEvent } from '../contract.ts'
import { pciAddressOf } from '../units.ts'

/** What a line tells; when it was written is for the one who follows the log to say. */
export type KernelEvent = Omit<DeviceEvent, 'atMs'>

/** Reads a line of the kernel's log; undefined where it tells of no device. */
export type ParseLine = (line: string) => KernelEvent | undefined

interface LineKind {
  pattern: RegExp
  kind: DeviceEvent['kind']
}

/**
 * What the drivers amdgpu, i915 and xe write, once for each fault: of the lines of one reset only the one that begins
 * it. The texts are those of the kernel's sources (drivers/gpu/drm: `amdgpu_device.c`, `i915_gpu_error.c`,
 * `intel_reset.c`, `xe_gt.c`, `xe_device.c`).
 */
const lineKinds: readonly LineKind[] = [
  { pattern: /\bamdgpu\b.*\bdevice lost from bus\b/i, kind: 'fallen_off_bus' },
  { pattern: /\bamdgpu\b.*\bGPU reset begin\b/i, kind: 'driver_reset' },
  { pattern: /\bamdgpu\b.*\bGPU (reset end with ret = -\d+|recovery failed)/i, kind: 'fallen_off_bus' },
  { pattern: /\bdeclared device \S+ as wedged\b/i, kind: 'fallen_off_bus' },
  {
    pattern: /\bi915\b.*\b(declaring it wedged|GPU recovery (failed|timed out)|Failed to reset chip)\b/i,
    kind: 'fallen_off_bus',
  },
  { pattern: /\bGPU HANG: ecode\b/i, kind: 'driver_reset' },
  { pattern: /\bi915\b.*\bResetting (chip|[a-z]{2,4}\d+) for\b/i, kind: 'driver_reset' },
  { pattern: /\bxe\b.*\bGT\d+: (trying reset from|Engine reset\b|reset started)/i, kind: 'driver_reset' },
]

/** Faults and resets of AMD's and Intel's drivers. */
export const parseDrmLine: ParseLine = (line) => {
  const found = lineKinds.find(({ pattern }) => pattern.test(line))
  if (!found) return undefined
  const pciAddress = pciAddressOf(line)
  return { kind: found.kind, ...(pciAddress !== undefined && { pciAddress }), text: line.trim() }
}

/**
 * A record of `/dev/kmsg` as its message: `6,1234,5678901234,-;text`, then lines that begin with a space and name the
 * device (kernel documentation, `ABI/testing/dev-kmsg`). A line without such a head is a message as it is.
 */
export function kmsgMessage(line: string): string | undefined {
  if (line.startsWith(' ')) return undefined
  const message = line.replace(/^\d+,\d+,\d+,[^;]*;/, '').trim()
  return message === '' ? undefined : message
}
