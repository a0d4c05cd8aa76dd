import type { HostSystem } from '../contract.ts'
import { pciIdOf } from '../units.ts'

/** Where libdrm keeps the names that AMD gives its chips, by system. */
const places = ['/usr/share/libdrm/amdgpu.ids', '/opt/amdgpu/share/libdrm/amdgpu.ids']

/** A card's name by its PCI id and revision: lines of `744C,	CC,	AMD Radeon RX 7900 XT`. Undefined where none tells. */
export function marketNameOf(
  system: Pick<HostSystem, 'readText'>,
  deviceId: string | undefined,
  revision: string | undefined,
): string | undefined {
  if (deviceId === undefined || revision === undefined) return undefined
  const wanted = Number.parseInt(revision, 16)
  for (const path of places) {
    for (const line of system.readText(path)?.split('\n') ?? []) {
      const [id, rev, name] = line.split(',').map((cell) => cell.trim())
      if (name && rev && pciIdOf(id) === deviceId && Number.parseInt(rev, 16) === wanted) return name
    }
  }
  return undefined
}
