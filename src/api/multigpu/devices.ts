import { shortLabels } from '../../hardware/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { DeviceStatus } from '../drover/device-directory.ts'

/**
 * Ids of the devices that names mean: ids, UUIDs, PCI addresses, labels as `drover gpus` shows them (`GPU0`), or the
 * number in such a label: of the GPUs, or where there is none of the CPU's devices. Throws `invalid_request` for a name
 * that means none, and for a device that takes no work.
 */
export function deviceIdsOf(
  names: readonly string[],
  devices: readonly DeviceStatus[],
  field: string,
): string[] {
  const labels = shortLabels(devices)
  const numbered = devices.some(({ kind }) => kind !== 'cpu') ? 'gpu' : 'cpu'
  const found = names.map((name) => {
    const wanted = name.toLowerCase()
    const label = /^\d+$/.test(wanted) ? numbered + wanted : wanted
    const device = devices.find(
      ({ id, uuid, pciAddress }) =>
        [id, uuid, pciAddress].some((own) => own?.toLowerCase() === wanted) ||
        labels.get(id)?.toLowerCase() === label,
    )
    if (!device) throw unknown(field, name, devices, labels)
    if (!device.used) {
      throw new DroverError(
        'invalid_request',
        `${field}: device "${name}" takes no work: ${device.unusedReason ?? 'it is not used'}`,
      )
    }
    return device.id
  })
  return [...new Set(found)]
}

function unknown(
  field: string,
  name: string,
  devices: readonly DeviceStatus[],
  labels: ReadonlyMap<string, string>,
): DroverError {
  const known = devices.filter(({ used }) => used).map(({ id }) => `${labels.get(id) ?? id} (${id})`)
  return new DroverError(
    'invalid_request',
    `${field}: there is no device "${name}"; there are: ${known.join(', ') || 'none'}`,
  )
}
