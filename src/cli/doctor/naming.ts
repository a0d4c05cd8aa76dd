import { shortLabels } from '../../hardware/index.ts'
import type { DoctorFacts } from './contract.ts'

type Facts = Pick<DoctorFacts, 'devices'>
type Devices = DoctorFacts['devices']

/** `GPU0 (NVIDIA RTX A6000)`: as `drover gpus` calls it, and what it is, or where, if it no longer says what. */
export function nameOf({ devices }: Facts, device: Devices[number]): string {
  const label = shortLabels(devices).get(device.id) ?? device.id
  const { name, vendor, pciAddress } = device
  if (!name.startsWith(`${vendor} `)) return `${label} (${name})`
  return pciAddress === undefined ? label : `${label} (at ${pciAddress})`
}

/** `GPU0, GPU1, GPU2 and 5 more`; one alone is told with what it is. */
export function namesOf(facts: Facts, devices: Devices): string {
  const [first] = devices
  if (devices.length === 1 && first) return nameOf(facts, first)
  const labels = shortLabels(facts.devices)
  return listed(devices.map(({ id }) => labels.get(id) ?? id))
}

const mostListed = 4

/** `a`, `a and b`, `a, b, c and 5 more`. */
export function listed(names: readonly string[]): string {
  const cut = names.length > mostListed
  const shown = cut ? names.slice(0, mostListed - 1) : names.slice(0, -1)
  const last = cut ? `${names.length - shown.length} more` : names.at(-1)
  return [shown.join(', '), last].filter(Boolean).join(' and ')
}

/** `1 card`, `3 cards`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** `23.5 GiB`, `512 MiB`. */
export function sizeText(bytes: number): string {
  const gib = bytes / 2 ** 30
  if (gib < 1) return `${Math.round(bytes / 2 ** 20)} MiB`
  return `${gib >= 100 ? Math.round(gib) : Number(gib.toFixed(1))} GiB`
}

/** The kernel often names a card without its function (`.0`). */
export function isSameCard(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a.replace(/\.\d$/, '') === b.replace(/\.\d$/, '')
}

/** Cards, without their partitions and without the CPU. */
export function cardsOf({ devices }: Facts): Devices {
  return devices.filter(({ kind }) => kind === 'discrete' || kind === 'integrated')
}

/** What takes work: whole cards, and partitions. */
export function gpusOf({ devices }: Facts): Devices {
  return devices.filter(({ kind, partitioned }) => kind !== 'cpu' && !partitioned)
}

/** Capital and full stop for what was a part of a line. */
export function sentence(text: string): string {
  const full = text.charAt(0).toUpperCase() + text.slice(1)
  return /[.!?]$/.test(full) ? full : `${full}.`
}

/** `40 s ago`, `12 min ago`, `5 h ago`. */
export function agoText(seconds: number): string {
  if (seconds < 100) return `${Math.round(seconds)} s ago`
  return seconds < 6000 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`
}

/** A text that counts in seconds only, for what may be hours ago. */
export function withHours(text: string): string {
  return text.replace(/(\d+) s ago/g, (_, seconds: string) => agoText(Number(seconds)))
}
