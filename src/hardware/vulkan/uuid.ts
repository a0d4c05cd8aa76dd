import { pciAddressOf } from '../units.ts'

/** Driver of a Vulkan device, as far as its UUID differs by it. */
export interface DriverName {
  driverId?: string
  driverName?: string
}

/** What the UUID of a Vulkan device tells of the card. */
export interface CardIdentity {
  uuid?: string
  pciAddress?: string
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')

const addressOf = (domain: number, bus: number, device: number, fn: number) =>
  bus > 0xff || device > 0x1f || fn > 7
    ? undefined
    : pciAddressOf(`${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${fn}`)

/**
 * The card that `deviceUUID` stands for. NVIDIA's driver gives the UUID of `nvidia-smi` without its `GPU-`. AMD's
 * drivers give domain, bus, device and function, four bytes each. Intel's of Mesa give vendor, device, revision and
 * domain, two bytes each, then bus, device and function, one each (`ac_compute_device_uuid` and
 * `intel_uuid_compute_device_id` of Mesa; all little-endian). Others stay what they are: the same card's after a
 * reboot, but nothing that another tool knows.
 */
export function identityOf(
  deviceUuid: string | undefined,
  driver: DriverName,
  ids: { vendorId?: string },
): CardIdentity {
  const digits = deviceUuid?.replaceAll('-', '').toLowerCase()
  if (digits === undefined || !/^[0-9a-f]{32}$/.test(digits) || /^0+$/.test(digits)) return {}
  const bytes = Buffer.from(digits, 'hex')
  const name = `${driver.driverId ?? ''} ${driver.driverName ?? ''}`
  const plain = { uuid: deviceUuid?.toLowerCase() ?? '' }
  if (/NVIDIA_PROPRIETARY|^ NVIDIA$/.test(name)) return { uuid: `GPU-${plain.uuid}` }
  const pciAddress = /RADV|AMD_OPEN_SOURCE|AMD_PROPRIETARY|^ radv$/i.test(name)
    ? addressOf(bytes.readUInt32LE(0), bytes.readUInt32LE(4), bytes.readUInt32LE(8), bytes.readUInt32LE(12))
    : /INTEL_OPEN_SOURCE|Intel open-source/i.test(name) &&
        ids.vendorId === `0x${hex(bytes.readUInt16LE(0), 4)}`
      ? addressOf(bytes.readUInt16LE(6), bytes.readUInt8(8), bytes.readUInt8(9), bytes.readUInt8(10))
      : undefined
  return pciAddress === undefined ? plain : { pciAddress }
}
