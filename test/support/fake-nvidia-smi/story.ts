import { eightCards, type FakeCard, model } from './cards.ts'

/** The card that the story is about. */
export const sickCard = 3

/** Seconds at which something begins. */
export const story = {
  /** Its fan slows: it gets hotter by a degree a second. */
  heats: 5,
  /** It slows itself down. */
  throttles: 40,
  /** XID 79: it falls off the bus, and the tool has a message in its place. */
  vanishes: 60,
  /** Somebody resets it. */
  returns: 90,
} as const

/** The cards at a second of the story. The other seven stay well all the way. */
export function cardsAt(second: number): FakeCard[] {
  return eightCards().map((card) => (card.index === sickCard ? { ...card, ...sickAt(card, second) } : card))
}

function sickAt(card: FakeCard, second: number): Partial<FakeCard> {
  if (second < story.heats) return {}
  if (second >= story.returns) {
    const idle = { temperatureC: 41, fanPercent: 30, utilizationPercent: 0, powerWatts: 22.4 }
    return {
      ...idle,
      memoryUsedMiB: 1,
      graphicsMhz: 210,
      linkGeneration: 1,
      slowdowns: ['gpu_idle'],
      processes: [],
    }
  }
  if (second >= story.vanishes) return { gone: 'Unknown Error' }
  const temperatureC = Math.min(model.slowdownC, card.temperatureC + (second - story.heats))
  if (second < story.throttles) return { temperatureC, fanPercent: 12 }
  return {
    temperatureC: model.slowdownC,
    fanPercent: 12,
    graphicsMhz: 600,
    powerWatts: 110,
    slowdowns: ['hw_slowdown', 'sw_thermal_slowdown', 'hw_thermal_slowdown'],
  }
}

/** What the driver writes to the kernel's log at a second, in the form of records of `/dev/kmsg`. */
export function kernelLinesAt(second: number): string[] {
  const card = eightCards()[sickCard]
  if (!card || second !== story.vanishes) return []
  const record = (sequence: number, text: string) => `4,${sequence},${second}000000,-;NVRM: ${text}`
  return [
    record(2101, `GPU at PCI:0000:${card.bus}:00: ${card.uuid}`),
    record(
      2102,
      `Xid (PCI:0000:${card.bus}:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.`,
    ),
    record(2103, `GPU 0000:${card.bus}:00.0: GPU has fallen off the bus.`),
  ]
}
