import type { DeviceKind } from '../contract.ts'
import { specTable } from '../specs/index.ts'

/** Cards that the specification table does not have; ids from Intel's compute runtime (`NAMEDDEVICE`). */
const cards: Readonly<Record<string, readonly string[]>> = {
  'Iris Xe MAX Graphics': ['4905'],
  'Arc A770M Graphics': ['5690'],
  'Arc A730M Graphics': ['5691'],
  'Arc A550M Graphics': ['5692'],
  'Arc A370M Graphics': ['5693'],
  'Arc A350M Graphics': ['5694'],
  'Arc A570M Graphics': ['5696'],
  'Arc A530M Graphics': ['5697'],
  'Arc A310 Graphics': ['56a6'],
  'Arc A760A Graphics': ['56af'],
  'Arc Pro A30M Graphics': ['56b0'],
  'Arc Pro A40/A50 Graphics': ['56b1'],
  'Arc Pro A60M Graphics': ['56b2'],
  'Arc Pro A60 Graphics': ['56b3'],
  'Arc A380E Graphics': ['56ba'],
  'Arc A310E Graphics': ['56bb'],
  'Arc A370E Graphics': ['56bc'],
  'Arc A350E Graphics': ['56bd'],
  'Arc A750E Graphics': ['56be'],
  'Arc A580E Graphics': ['56bf'],
  'Data Center GPU Max 1450': ['0b69'],
  'Data Center GPU Max 1100C': ['0b6e'],
  'Data Center GPU Max 1100': ['0bdb'],
  'Data Center GPU Max 1550VG': ['0bd4'],
}

/** Graphics of processors; ids from https://pci-ids.ucw.cz. */
const integrated: Readonly<Record<string, readonly string[]>> = {
  'HD Graphics 530': ['1912', '191b'],
  'HD Graphics 620': ['5916'],
  'HD Graphics 630': ['5912', '591b'],
  'UHD Graphics 620': ['5917', '3ea0'],
  'UHD Graphics 630': ['3e91', '3e92', '3e98', '3e9b', '9bc4', '9bc5', '9bc8'],
  'Iris Plus Graphics': ['8a51', '8a52', '8a53'],
  'Iris Xe Graphics': ['9a40', '9a49', '46a6', '46a8', '46aa', 'a7a0', 'a7a1'],
  'UHD Graphics 730': ['4c8b', '4682', '4692', 'a782'],
  'UHD Graphics 750': ['4c8a'],
  'UHD Graphics 770': ['4680', '4690', 'a780'],
  'UHD Graphics': ['9a60', '9a78', '46a3', '46b3', '46d0', '46d1', '46d2', 'a78b', 'a721', 'a7a8'],
  'Arc Graphics': ['7d55'],
  'Arc Graphics 130T/140T': ['7d51'],
  'Arc Graphics 130V/140V': ['64a0'],
  Graphics: ['7d40', '7d41', '7d45', '7d67'],
}

interface Known {
  name: string
  kind: DeviceKind
  /** By the specification table; a card may have been sold with less under the same id. */
  vramGiB?: number
}

/** `Arc A310 Graphics` as Intel's tools write it. */
function branded(name: string): string {
  return `Intel(R) ${name.replace(/^Arc\b/, 'Arc(TM)').replace(/^Iris\b/, 'Iris(R)')}`
}

const byId: ReadonlyMap<string, Known> = new Map([
  ...rows(integrated, 'integrated'),
  ...rows(cards, 'discrete'),
  ...specTable
    .filter(({ vendor }) => vendor === 'intel')
    .flatMap(({ pciDeviceIds, names, card, vramGiB }) =>
      pciDeviceIds.map((id): [string, Known] => [id, { name: names[0] ?? card, kind: 'discrete', vramGiB }]),
    ),
])

function rows(table: typeof cards, kind: DeviceKind): [string, Known][] {
  return Object.entries(table).flatMap(([name, ids]) =>
    ids.map((id): [string, Known] => [`0x${id}`, { name: branded(name), kind }]),
  )
}

/** What is known of a PCI id such as `0x56a0`, of cards and of processors' graphics. */
export function knownGpu(pciDeviceId: string | undefined): Known | undefined {
  return pciDeviceId === undefined ? undefined : byId.get(pciDeviceId)
}

/** Whether a name only repeats the PCI id, as tools print it that do not know the card: `Intel(R) Graphics [0x56c0]`. */
export function isBareName(name: string | undefined): boolean {
  return name === undefined || /\[0x[0-9a-f]+\]\s*$/i.test(name)
}
