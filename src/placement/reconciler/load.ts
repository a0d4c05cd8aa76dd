import type { DeviceFacts, PlacedInstance } from './contract.ts'

/** A device in doubt counts as one of so much of its speed: what can go elsewhere does. */
const degradedSpeed = 0.25

/** What an instance that does nothing counts for, where instances are laid out for what may come: of its slots. */
export const idleWeight = 0.1

/**
 * How much each device has to do: of each instance on it the share of its slots that are taken, as much more as the
 * device is slower than the fastest one; of an instance over several devices each has the part that it holds. 1 is a
 * full instance on the fastest device.
 */
export function loadsOf(
  devices: readonly DeviceFacts[],
  instances: readonly PlacedInstance[],
  baseWeight = 0,
): Map<string, number> {
  const loads = new Map(devices.map(({ id }) => [id, 0]))
  for (const instance of instances) {
    for (const [id, load] of loadOf(instance, devices, baseWeight)) loads.set(id, (loads.get(id) ?? 0) + load)
  }
  return loads
}

/** What one instance adds to the load of each of its devices. */
export function loadOf(
  { shares, slots, running, state }: PlacedInstance,
  devices: readonly DeviceFacts[],
  baseWeight = 0,
): Map<string, number> {
  const weight = state === 'leaving' ? 0 : baseWeight + running / Math.max(1, slots)
  const total = shares.reduce((sum, { bytes }) => sum + bytes, 0)
  return new Map(
    shares.map(({ deviceId, bytes }) => {
      const part = total > 0 ? bytes / total : 1 / shares.length
      return [deviceId, (weight * part) / relativeSpeed(deviceId, devices)]
    }),
  )
}

/** Of the fastest device: 1 for that one itself. */
export function relativeSpeed(deviceId: string, devices: readonly DeviceFacts[]): number {
  const fastest = Math.max(...devices.filter(({ usable }) => usable).map(speedOf), 0)
  const own = devices.find(({ id }) => id === deviceId)
  return own && fastest > 0 ? Math.max(1e-3, speedOf(own) / fastest) : 1
}

const speedOf = ({ speed, degraded }: DeviceFacts) => (degraded ? speed * degradedSpeed : speed)
