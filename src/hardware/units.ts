/** Words by which tools say that they have no value. */
const unavailable =
  /^\s*(\[?\s*(n\/a|not supported|not available|unknown error|unknown|none|err!|insufficient permissions|gpu is lost|gpu requires reset|no permission|not active|requested functionality has been deprecated)\s*\]?|-+|\?+)?\s*$/i

/** Whether a cell of a tool's output says that there is no value: `N/A`, `[Not Supported]`, `-`, nothing at all. */
export function isUnavailable(text: string | undefined): boolean {
  return text === undefined || unavailable.test(text)
}

/** The text of a cell, without what stands around it; undefined where it says that there is none. */
export function textOf(text: string | undefined): string | undefined {
  return text === undefined || isUnavailable(text) ? undefined : text.trim()
}

/** The first number in a cell (`300.00 W`, `45 %`, `16x`, `1,024`); undefined where there is none. Never NaN. */
export function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || isUnavailable(text)) return undefined
  const found = /[-+]?(?:\d[\d,]*(?:\.\d+)?|\.\d+)(?:e[-+]?\d+)?/i.exec(text)?.[0]
  if (found === undefined) return undefined
  const value = Number(found.replaceAll(',', ''))
  return Number.isFinite(value) ? value : undefined
}

const byteUnits: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1024,
  kib: 1024,
  mb: 1024 ** 2,
  mib: 1024 ** 2,
  gb: 1024 ** 3,
  gib: 1024 ** 3,
  tb: 1024 ** 4,
  tib: 1024 ** 4,
}

/**
 * Bytes of a cell such as `24564 MiB`; the vendors' tools mean powers of 1024 by `MB` too. Without a unit in the text
 * `defaultUnit` is taken. Undefined where there is no number.
 */
export function bytesOf(text: string | undefined, defaultUnit: string): number | undefined {
  const value = numberOf(text)
  if (value === undefined || value < 0) return undefined
  const unit = /\d\s*([kmgt]?i?b)\b/i.exec(text ?? '')?.[1] ?? defaultUnit
  const factor = byteUnits[unit.toLowerCase()]
  return factor === undefined ? undefined : Math.round(value * factor)
}

/** A percentage as a share: `45 %` is 0.45. Undefined where there is no number, or it is no percentage. */
export function ratioOf(text: string | undefined): number | undefined {
  const value = numberOf(text)
  return value === undefined || value < 0 || value > 100 ? undefined : value / 100
}

/**
 * A PCI address in one form, `dddd:bb:dd.f` in lower case: tools write the domain with eight, four or no digits
 * (`00000000:3B:00.0`, `0000:3b:00.0`, `3b:00.0`). A domain beyond four digits (`10001:`) keeps what it has.
 * Undefined where the text is no address.
 */
export function pciAddressOf(text: string | undefined): string | undefined {
  const match = /(?:([0-9a-f]{1,8}):)?([0-9a-f]{1,2}):([0-9a-f]{1,2})\.([0-7])/i.exec(text ?? '')
  if (!match) return undefined
  const [, domain = '0', bus = '', device = '', fn = ''] = match
  const pad = (digits: string, length: number) =>
    Number.parseInt(digits, 16).toString(16).padStart(length, '0')
  return `${pad(domain, 4)}:${pad(bus, 2)}:${pad(device, 2)}.${fn}`
}

/** A PCI id as `0x2684`: from `0x268410DE` (NVIDIA: device, then vendor), `2684`, `0x2684`. */
export function pciIdOf(text: string | undefined): string | undefined {
  const digits = /^\s*(?:0x)?([0-9a-f]{3,8})\s*$/i.exec(text ?? '')?.[1]
  if (digits === undefined) return undefined
  return `0x${(digits.length > 4 ? digits.padStart(8, '0').slice(0, 4) : digits.padStart(4, '0')).toLowerCase()}`
}

/** `target` without the fields that are undefined, so that an absent value is an absent field. */
export function present<T extends object>(target: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(target).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}
