import type { DeviceReading, HostSystem } from '../contract.ts'

const kfdFile = '/dev/kfd'

const joinGroups =
  'add this user to the groups "render" and "video" ("sudo usermod -aG render,video $USER") and log in anew; ' +
  'in a container pass "--device /dev/kfd --device /dev/dri" and the numbers of these groups by "--group-add"'

/**
 * Cards that this user may not open get the state `no_permission`, unless they are in a worse one. `files` are the
 * device files by PCI address, or by UUID of partitions.
 */
export function withPermission(
  system: Pick<HostSystem, 'mayUse'>,
  devices: readonly DeviceReading[],
  files: ReadonlyMap<string | undefined, string>,
): { devices: DeviceReading[]; problems: string[] } {
  const kfd = system.mayUse(kfdFile)
  const problems = new Set<string>()
  const checked = devices.map((device): DeviceReading => {
    const file = files.get(device.pciAddress ?? device.uuid ?? device.parent?.pciAddress)
    if (file === undefined || device.state !== undefined) return device
    const render = system.mayUse(file)
    const why = reasonOf(file, render, kfd)
    if (why !== undefined) return { ...device, state: 'no_permission', stateReason: why }
    if (kfd === undefined) {
      problems.add(
        `${kfdFile} is missing, so that ROCm cannot run (Vulkan can): load the driver with compute ("modprobe amdgpu"), or pass "--device ${kfdFile}" to the container`,
      )
    }
    return device
  })
  return { devices: checked, problems: [...problems] }
}

function reasonOf(file: string, render: boolean | undefined, kfd: boolean | undefined): string | undefined {
  if (kfd === false) return `this user may not open ${kfdFile}: ${joinGroups}`
  if (render === false) return `this user may not open ${file}: ${joinGroups}`
  if (render === undefined) {
    return `${file} is missing: in a container pass "--device ${kfdFile} --device /dev/dri"; else load the driver ("modprobe amdgpu")`
  }
  return undefined
}
