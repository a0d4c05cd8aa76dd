import type { DeviceProbe, DeviceReading, HostSystem, ProbeResult } from '../contract.ts'
import { present } from '../units.ts'
import { discover } from './discover.ts'
import { closeNvml, type OpenNvml, openNvml } from './nvml.ts'
import { type NvmlSampler, nvmlSampler } from './nvml-sampler.ts'
import { type SmiSampler, smiSampler } from './sample-smi.ts'

/** What is remembered of a machine between two calls. */
interface Memory {
  /** As last listed: what a card is called while nothing answers for it. */
  cards: DeviceReading[]
  /** How to sample: not tried yet; by the library; by the tool; not at all, until `list` finds something. */
  way: 'untried' | 'nvml' | 'smi' | 'none'
  nvml?: NvmlSampler | undefined
  /** It has worked on this machine. */
  nvmlWorks: boolean
  smi: SmiSampler
  sampling?: Promise<DeviceReading[]> | undefined
}

/**
 * NVIDIA cards: listed with nvidia-smi, sampled with NVML, or with nvidia-smi where NVML does not load or the
 * environment says `DROVER_NVML=0`.
 */
export const nvidiaProbe: DeviceProbe = createNvidiaProbe(openNvml)

/** A probe with its own way to NVML: a test has none, or a fake of it. */
export function createNvidiaProbe(open: OpenNvml): DeviceProbe {
  const memories = new WeakMap<HostSystem, Memory>()
  const memoryOf = (system: HostSystem): Memory => {
    const memory = memories.get(system) ?? {
      cards: [],
      way: 'untried' as const,
      nvmlWorks: false,
      smi: smiSampler(),
    }
    memories.set(system, memory)
    return memory
  }
  return {
    vendor: 'nvidia',
    async list(system) {
      const memory = memoryOf(system)
      const result = await discoverSafely(system)
      await renew(memory, result.devices)
      return result
    },
    sample(system) {
      const memory = memoryOf(system)
      memory.sampling ??= sampleSafely(memory, system, open).finally(() => {
        memory.sampling = undefined
      })
      return memory.sampling
    },
  }
}

async function discoverSafely(system: HostSystem): Promise<ProbeResult> {
  try {
    return await discover(system)
  } catch (error) {
    const problem = `NVIDIA cards could not be listed: ${messageOf(error)}`
    return { vendor: 'nvidia', devices: [], links: [], places: [], problems: [problem] }
  }
}

/** NVML numbers the cards as it is opened, so other cards want it opened anew. */
async function renew(memory: Memory, cards: DeviceReading[]): Promise<void> {
  const names = (list: readonly DeviceReading[]): string =>
    list.map(({ uuid, pciAddress, state }) => `${uuid} ${pciAddress} ${state}`).join()
  const same = names(memory.cards) === names(cards)
  memory.cards = cards
  if (same && memory.way === 'nvml') return
  await letGo(memory)
  memory.way = cards.length === 0 ? 'none' : 'untried'
}

async function letGo(memory: Memory): Promise<void> {
  const { nvml } = memory
  memory.nvml = undefined
  await nvml?.close()
}

async function sampleSafely(memory: Memory, system: HostSystem, open: OpenNvml): Promise<DeviceReading[]> {
  try {
    return await sample(memory, system, open)
  } catch (error) {
    return silent(memory, messageOf(error))
  }
}

async function sample(memory: Memory, system: HostSystem, open: OpenNvml): Promise<DeviceReading[]> {
  if (memory.way === 'none') return []
  if (memory.way === 'untried') await choose(memory, system, open)
  if (memory.nvml !== undefined) {
    const readings = await memory.nvml.sample()
    const lost = readings === undefined || readings.some(({ state }) => state === 'lost')
    if (lost) {
      // A library that is open keeps a lost card from being reset; nvidia-smi lets go after each look.
      await letGo(memory)
      memory.way = 'smi'
    }
    if (readings !== undefined) return readings
  }
  return sampleByTool(memory, system)
}

async function choose(memory: Memory, system: HostSystem, open: OpenNvml): Promise<void> {
  const nvml = /^(0|off|no|false)$/i.test(system.env['DROVER_NVML'] ?? '') ? undefined : await open()
  memory.nvml = nvml === undefined ? undefined : await nvmlSampler(nvml)
  if (nvml !== undefined && memory.nvml === undefined) await closeNvml(nvml)
  memory.way = memory.nvml === undefined ? 'smi' : 'nvml'
  memory.nvmlWorks ||= memory.nvml !== undefined
}

async function sampleByTool(memory: Memory, system: HostSystem): Promise<DeviceReading[]> {
  const { readings, missing, failure } = await memory.smi.sample(system)
  if (readings.length > 0) return [...readings, ...partsOf(memory, readings)]
  if (missing && memory.nvmlWorks) memory.way = 'untried'
  else if (missing || memory.cards.length === 0) memory.way = 'none'
  return missing && !memory.nvmlWorks ? [] : silent(memory, failure ?? 'nvidia-smi tells of no card')
}

/** The tool tells of cards only: MIG instances are as well as their card. */
function partsOf({ cards }: Memory, readings: readonly DeviceReading[]): DeviceReading[] {
  return cards
    .filter(({ kind }) => kind === 'partition')
    .flatMap((part) => {
      const card = readings.find(
        ({ uuid, pciAddress }) =>
          (uuid !== undefined && uuid === part.parent?.uuid) ||
          (pciAddress !== undefined && pciAddress === part.parent?.pciAddress),
      )
      if (card === undefined) return []
      const { state, stateReason } = card
      return [
        {
          ...identityOf(part),
          ...(state !== undefined && { state }),
          ...(stateReason !== undefined && { stateReason }),
        },
      ]
    })
}

/** All cards that were listed, none of which answers. */
function silent(memory: Memory, why: string): DeviceReading[] {
  return memory.cards.map((card) => ({
    ...identityOf(card),
    state: card.state === undefined || card.state === 'ok' ? 'error' : card.state,
    stateReason: why,
  }))
}

function identityOf({ vendor, source, index, uuid, pciAddress, kind, parent }: DeviceReading): DeviceReading {
  return present({ vendor, source, index, uuid, pciAddress, kind, parent })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
