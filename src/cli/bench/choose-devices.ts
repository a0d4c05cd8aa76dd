import { parseDeviceSelector } from '../../config/index.ts'
import { selects, type WorkerDevice } from '../../placement/index.ts'

/**
 * The devices that names mean: labels and ids as tables show them, or what the configuration takes (`cpu:0`, `gpus`, a
 * UUID, a PCI address, a number); without names all of them. Throws for a name that means none.
 */
export function chooseDevices(
  devices: readonly WorkerDevice[],
  names: readonly string[] | undefined,
  labels: ReadonlyMap<string, string>,
): WorkerDevice[] {
  if (names === undefined) return [...devices]
  const meant = names.map((name) => ({
    name,
    found: devices.filter((device) => isMeant(name, device, labels)),
  }))
  const unknown = meant.find(({ found }) => found.length === 0)
  if (unknown) {
    const known = devices.map(({ id }) => (labels.has(id) ? `${labels.get(id)} (${id})` : id)).join(', ')
    throw new Error(`there is no device "${unknown.name}" to measure; there are: ${known}`)
  }
  return devices.filter((device) => meant.some(({ found }) => found.includes(device)))
}

function isMeant(name: string, device: WorkerDevice, labels: ReadonlyMap<string, string>): boolean {
  const wanted = name.toLowerCase()
  if (device.id.toLowerCase() === wanted || labels.get(device.id)?.toLowerCase() === wanted) return true
  const selector = parseDeviceSelector(name)
  return selector !== undefined && selects(selector, device)
}
