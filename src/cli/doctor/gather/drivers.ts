import { statSync } from 'node:fs'
import type { HostSystem } from '../../../hardware/index.ts'
import type { DeviceFile, DriverLook } from '../contract.ts'

/** Looks at the drivers' files. Never throws. */
export function lookAtDrivers(system: HostSystem): DriverLook {
  const nvidiaModule = /Kernel Module(?: for \S+)?\s+(\d+(?:\.\d+)+)/.exec(
    system.readText('/proc/driver/nvidia/version') ?? '',
  )?.[1]
  const secureBoot = secureBootOf(system)
  return {
    files: deviceFiles(system),
    hasDxg: system.mayUse('/dev/dxg') !== undefined,
    ...(nvidiaModule !== undefined && { nvidiaModule }),
    ...(secureBoot !== undefined && { secureBoot }),
  }
}

function deviceFiles(system: HostSystem): DeviceFile[] {
  const of = (folder: string, pattern: RegExp) =>
    system
      .list(folder)
      .filter((name) => pattern.test(name))
      .map((name) => `${folder}/${name}`)
  const paths = [...of('/dev', /^(nvidia\d+|nvidiactl|nvidia-uvm|kfd)$/), ...of('/dev/dri', /^renderD\d+$/)]
  const groups = new Map(
    (system.readText('/etc/group') ?? '').split('\n').map((line) => {
      const [name = '', , id = ''] = line.split(':')
      return [id, name]
    }),
  )
  return paths.flatMap((path): DeviceFile[] => {
    const mayUse = system.mayUse(path)
    const stat = mayUse === undefined ? undefined : statOf(path)
    if (mayUse === undefined || stat === undefined) return []
    const group = groups.get(String(stat.gid)) ?? String(stat.gid)
    // Bits of reading and writing for the group.
    return [{ path, mayUse, group, groupMayUse: (stat.mode & 0o060) === 0o060 }]
  })
}

function statOf(path: string): { gid: number; mode: number } | undefined {
  try {
    return statSync(path)
  } catch {
    // Gone since the folder was listed.
    return undefined
  }
}

/** The last byte of the firmware's variable, after four bytes of attributes. */
function secureBootOf(system: HostSystem): boolean | undefined {
  const folder = '/sys/firmware/efi/efivars'
  const name = system.list(folder).find((one) => one.startsWith('SecureBoot-'))
  const value = name === undefined ? undefined : system.readText(`${folder}/${name}`)
  return value === undefined ? undefined : value.charCodeAt(value.length - 1) === 1
}
