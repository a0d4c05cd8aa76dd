import type { PlanDevice } from '../contract.ts'

/** `22.9 GiB`; small amounts in MiB, so that they do not read as nothing. */
export function gibibytes(bytes: number): string {
  const gib = 2 ** 30
  return bytes >= gib / 10 ? `${(bytes / gib).toFixed(1)} GiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`
}

/** `2 x RTX 3090, RX 7900 XTX`. */
export function listDevices(devices: readonly PlanDevice[]): string {
  const counts = new Map<string, number>()
  for (const { name } of devices) counts.set(name, (counts.get(name) ?? 0) + 1)
  return [...counts].map(([name, count]) => (count > 1 ? `${count} x ${name}` : name)).join(', ')
}

/** `17.3 tokens/s`. */
export function rate(tokensPerS: number): string {
  return `${tokensPerS >= 100 ? tokensPerS.toFixed(0) : tokensPerS.toFixed(1)} tokens/s`
}

export function countOf(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

/** `3 %`, and never more digits than the model is worth. */
export function percent(share: number): string {
  return `${(share * 100).toFixed(Math.abs(share) < 0.1 ? 1 : 0)} %`
}
