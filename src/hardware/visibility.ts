/**
 * Which devices a process sees. Each vendor's runtime has a variable of its own; a child is shown its devices by UUID
 * where the runtime takes one, since numbers change with the order of enumeration, and is told to see none of the others.
 */
import type { Device, DeviceReading, HostSystem, Vendor } from './contract.ts'
import { pciAddressOf } from './units.ts'

/** Variables by which a vendor's devices are shown or hidden, in the order in which the runtime heeds them. */
const variables: Partial<Record<Vendor, readonly string[]>> = {
  nvidia: ['CUDA_VISIBLE_DEVICES', 'NVIDIA_VISIBLE_DEVICES'],
  amd: ['ROCR_VISIBLE_DEVICES', 'HIP_VISIBLE_DEVICES', 'CUDA_VISIBLE_DEVICES'],
  intel: ['ONEAPI_DEVICE_SELECTOR', 'ZE_AFFINITY_MASK'],
}

/** Shows nothing: `-1` is no device of any runtime. */
const none = '-1'

/**
 * The environment of a child that is to see these devices and no other. `vulkanIndex` is the number that the engine's
 * Vulkan backend gives a device, where it runs on that.
 */
export function visibilityOf(
  devices: readonly (Pick<Device, 'vendor' | 'uuid' | 'index'> & { vulkanIndex?: number })[],
): Record<string, string> {
  const cuda = devices.filter(({ vendor }) => vendor === 'nvidia')
  const rocm = devices.filter(({ vendor }) => vendor === 'amd')
  const intel = devices.filter(({ vendor }) => vendor === 'intel')
  const vulkan = devices.flatMap(({ vulkanIndex }) => vulkanIndex ?? [])
  const numbers = intel.map(({ index = 0 }) => index)
  return {
    // Numbers then mean what nvidia-smi means by them.
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    CUDA_VISIBLE_DEVICES: cuda.map(({ uuid, index }) => uuid ?? String(index ?? 0)).join(',') || none,
    ROCR_VISIBLE_DEVICES: rocm.map(rocrName).join(',') || none,
    // HIP numbers what ROCr has left, and would heed CUDA's variable where it had none of its own.
    HIP_VISIBLE_DEVICES: rocm.map((_, position) => position).join(',') || none,
    ONEAPI_DEVICE_SELECTOR: numbers.length > 0 ? `level_zero:${numbers.join(',')}` : '!level_zero:*',
    // Free memory of Intel's cards can be read with it only.
    ...(intel.length > 0 && { ZES_ENABLE_SYSMAN: '1' }),
    GGML_VK_VISIBLE_DEVICES: vulkan.length > 0 ? vulkan.join(',') : none,
  }
}

/** `GPU-` and 16 hexadecimal digits, as ROCr has it; the tools write the same number as `0x…`. */
function rocrName({ uuid, index }: Pick<Device, 'uuid' | 'index'>): string {
  const digits = /^(?:0x|GPU-)([0-9a-f]{1,16})$/i.exec(uuid ?? '')?.[1]
  return digits === undefined ? String(index ?? 0) : `GPU-${digits.toLowerCase().padStart(16, '0')}`
}

/**
 * Why a device is hidden from this process by a variable of its environment; undefined where it is not. A list of
 * numbers counts the vendor's devices in the order of their PCI addresses; what comes after an unknown entry is hidden,
 * as the runtimes have it.
 */
export function hiddenBy(
  device: Pick<DeviceReading, 'vendor' | 'uuid' | 'pciAddress' | 'index'>,
  position: number,
  env: HostSystem['env'],
): string | undefined {
  for (const name of variables[device.vendor] ?? []) {
    const value = env[name]
    if (value === undefined || value.trim() === '' || /^(all|\*:\*|level_zero:\*)$/i.test(value.trim()))
      continue
    // Only ROCm's own variables speak of AMD's cards unless there are none.
    if (device.vendor === 'amd' && name === 'CUDA_VISIBLE_DEVICES' && /GPU-|MIG-/.test(value)) continue
    return isListed(device, position, value) ? undefined : `${name}=${value}`
  }
  return undefined
}

function isListed(
  { uuid, pciAddress }: Pick<DeviceReading, 'uuid' | 'pciAddress'>,
  position: number,
  value: string,
): boolean {
  const entries = value
    .trim()
    .replace(/^(level_zero|opencl):/i, '')
    .split(',')
    .map((entry) => entry.trim())
  for (const entry of entries) {
    if (entry === none || entry === '' || /^(none|void|nodevfiles)$/i.test(entry)) return false
    if (/^\d+$/.test(entry) ? Number(entry) === position : matchesName(entry, uuid, pciAddress)) return true
  }
  return false
}

/** A UUID may be shortened as long as it is no other's; here every beginning counts. */
function matchesName(entry: string, uuid: string | undefined, pciAddress: string | undefined): boolean {
  const name = entry.toLowerCase()
  if (uuid?.toLowerCase().startsWith(name)) return true
  const digits = /^gpu-([0-9a-f]+)$/.exec(name)?.[1]
  if (digits !== undefined && uuid?.toLowerCase().replace(/^0x/, '') === digits) return true
  return pciAddress !== undefined && pciAddressOf(entry) === pciAddress
}
