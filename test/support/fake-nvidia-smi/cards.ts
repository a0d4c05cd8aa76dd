/** What slows a card, by the name that the tool's XML ends in, in the order of the driver's bits. */
export const slowdowns = [
  'gpu_idle',
  'applications_clocks_setting',
  'sw_power_cap',
  'hw_slowdown',
  'sync_boost',
  'sw_thermal_slowdown',
  'hw_thermal_slowdown',
  'hw_power_brake_slowdown',
  'display_clocks_setting',
] as const

export type Slowdown = (typeof slowdowns)[number]

/** A card of the host, as far as it changes or differs from the others. */
export interface FakeCard {
  index: number
  uuid: string
  /** `4b`: the bus in two hexadecimal digits. */
  bus: string
  /** Set where the card does not answer: what the driver says in its place. */
  gone?: string
  temperatureC: number
  fanPercent: number
  utilizationPercent: number
  memoryUsedMiB: number
  powerWatts: number
  graphicsMhz: number
  linkGeneration: number
  linkWidth: number
  slowdowns: readonly Slowdown[]
  correctedErrors: number
  uncorrectedErrors: number
  remappedRows: number
  remapPending: boolean
  processes: readonly { pid: number; name: string; memoryMiB: number }[]
}

/** All the cards are of one make. */
export const model = {
  name: 'NVIDIA RTX A6000',
  driver: '580.95.05',
  cuda: '13.0',
  memoryMiB: 49_140,
  reservedMiB: 626,
  slowdownC: 95,
  shutdownC: 98,
  powerLimitWatts: 300,
  graphicsMhz: 2100,
  memoryMhz: 8001,
  linkGeneration: 4,
  linkWidth: 16,
  /** NVLink of the third generation: four lanes to the card beside it, each way 14.062 GB/s. */
  bridgeLinks: 4,
} as const

const buses = ['01', '25', '41', '4b', '81', 'a1', 'c1', 'e1']

/** Eight cards that answer prompts: warm, busy, well. */
export function eightCards(): FakeCard[] {
  return buses.map((bus, index) => ({
    index,
    uuid: `GPU-5eed000${index}-d40e-4a60-8b1d-0000a60000${bus}`,
    bus,
    temperatureC: 58 + index,
    fanPercent: 45,
    utilizationPercent: 90 - index,
    memoryUsedMiB: 21_000 + index,
    powerWatts: 231.5 + index,
    graphicsMhz: 1800,
    linkGeneration: 4,
    linkWidth: 16,
    slowdowns: [],
    correctedErrors: 0,
    uncorrectedErrors: 0,
    remappedRows: 0,
    remapPending: false,
    processes: [{ pid: 40_000 + index, name: '/usr/bin/llama-server', memoryMiB: 20_990 }],
  }))
}

/** `00000000:4B:00.0`, as the tool writes it. */
export function busId({ bus }: FakeCard): string {
  return `00000000:${bus.toUpperCase()}:00.0`
}

/** The line that stands in the place of a card that does not answer. */
export function goneLine({ bus, gone }: FakeCard): string {
  return `Unable to determine the device handle for GPU0000:${bus.toUpperCase()}:00.0: ${gone}`
}
