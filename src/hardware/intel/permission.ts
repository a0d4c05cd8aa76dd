import type { DeviceReading, HostSystem } from '../contract.ts'
import type { DrmCard } from './sysfs.ts'

/** Whether this user may compute on a card, and what to do where not; nothing is said of a card without a render node. */
export function mayCompute(
  system: HostSystem,
  { renderNode }: DrmCard,
): Pick<DeviceReading, 'state' | 'stateReason'> {
  if (renderNode === undefined) return {}
  const path = `/dev/dri/${renderNode}`
  const may = system.mayUse(path)
  if (may === true) return {}
  const stateReason =
    may === undefined
      ? `${path} is not here: in a container, pass it in ("--device /dev/dri"); else load the driver anew`
      : `this user may not open ${path}: add it to the group "render" ("sudo usermod -aG render <user>"), then log in anew`
  return { state: 'no_permission', stateReason }
}
