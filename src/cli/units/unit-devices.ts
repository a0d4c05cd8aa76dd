import type { Device, Vendor } from '../../hardware/index.ts'
import type { UnitDevice } from './unit-files.ts'

const prefixes = new Map<string, Vendor>(
  Object.entries({
    nvidia: 'nvidia',
    cuda: 'nvidia',
    amd: 'amd',
    rocm: 'amd',
    intel: 'intel',
    vulkan: 'other',
  } as const),
)

/**
 * The devices that a list names, each by its id, UUID, PCI address or number among those that were found; or, of
 * another machine, by a form that tells the vendor: `GPU-`/`MIG-` and a UUID, AMD's unique id, `intel:0`, `vulkan:1`.
 * Throws with what there is for a name that is none of these.
 */
export function devicesNamed(names: readonly string[], found: readonly Device[]): UnitDevice[] {
  return names.map((name) => {
    const device = found.find((one) => isNamed(one, name))
    const read = device ? unitDeviceOf(device) : byForm(name)
    if (read) return read
    const gpus = found.filter(({ kind }) => kind !== 'cpu')
    const there = gpus.map(({ id }) => id).join(', ') || 'none were found here'
    throw new Error(
      `"${name}" names no device. There are: ${there}. Of another machine: GPU-<uuid>, amd:0, intel:0, vulkan:0`,
    )
  })
}

/** GPUs that take work. */
export function usableGpus(found: readonly Device[]): UnitDevice[] {
  return found
    .filter(({ kind, state, partitioned }) => kind !== 'cpu' && state === 'ok' && !partitioned)
    .map(unitDeviceOf)
}

function unitDeviceOf({ id, vendor, uuid, index }: Device): UnitDevice {
  return { id, vendor, ...(uuid !== undefined && { uuid }), ...(index !== undefined && { index }) }
}

function isNamed({ id, uuid, pciAddress, index, kind }: Device, name: string): boolean {
  if (kind === 'cpu') return false
  const lower = name.toLowerCase()
  return [id, uuid, pciAddress].some((known) => known?.toLowerCase() === lower) || String(index) === name
}

function byForm(name: string): UnitDevice | undefined {
  if (/^(GPU|MIG)-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(name)) {
    return { id: name, vendor: 'nvidia', uuid: name }
  }
  if (/^(0x|GPU-)[0-9a-f]{16}$/i.test(name)) return { id: name, vendor: 'amd', uuid: name }
  const [, prefix = '', number] = /^([a-z]+):(\d+)$/i.exec(name) ?? []
  const vendor = prefixes.get(prefix.toLowerCase())
  return vendor && { id: name, vendor, index: Number(number) }
}
