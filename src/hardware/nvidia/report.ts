import type { DeviceProcess, DeviceReading, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present } from '../units.ts'
import { cardOf, migOf, notesOf, processOf } from './card.ts'
import { type Cells, cell, cellsOf, type Entry } from './cells.ts'
import { fields } from './fields.ts'
import { messagesOf } from './messages.ts'

/** Parts of a card's report that are lists of their own, or of no use. */
const lists = new Set([
  'processes',
  'accounted_processes',
  'mig_devices',
  'mig_device',
  'supported_clocks',
  'vgpu_software_licensed_product',
])

/**
 * A whole `nvidia-smi -q`, as XML or as text.
 *
 * @param head what stands above the cards: versions, how many cards there are
 * @param gpus one entry a card, its address as the entry's value
 * @param text the report as it was printed, for messages that stand in its middle
 */
export function readReport(
  tool: string,
  head: readonly Entry[],
  gpus: readonly Entry[],
  text: string,
): ReadResult {
  const top = cellsOf(head)
  const attached = numberOf(top.get('attached_gpus'))
  const messages = messagesOf(text, tool)
  if (gpus.length === 0 && messages.devices.length === 0 && attached !== 0) {
    return refused(`${tool}: there is no card in it; the text may be cut`)
  }
  // Where cards are left out, the place in the list is not the card's number.
  const whole = attached === undefined || attached === gpus.length
  const notes = whole ? [] : [`${tool}: ${gpus.length} of ${attached} attached cards are listed`]
  const devices: DeviceReading[] = []
  gpus.forEach((gpu, position) => {
    const cells: Cells = new Map([['id', gpu.value], ...cellsOf(gpu.children, lists)])
    const card = cardOf(cells, {
      source: tool,
      driverVersion: versionLine(top, fields.driverVersion),
      cudaVersion: versionLine(top, fields.cudaVersion),
      index: whole ? position : undefined,
    })
    devices.push(...withParts(card, gpu))
    notes.push(...notesOf(cells, card))
  })
  const silent = messages.devices.filter(
    (lost) => !devices.some(({ pciAddress }) => pciAddress !== undefined && pciAddress === lost.pciAddress),
  )
  return readingOf(tool, { devices: [...devices, ...silent], notes: [...notes, ...messages.notes] })
}

/** Drivers from 610 write `Deprecated, see …` behind or in place of the older name's value. */
function versionLine(top: Cells, names: readonly string[]): string | undefined {
  return names.map((name) => top.get(name)).find((text) => text !== undefined && /^\d/.test(text))
}

/** The card with its processes, and after it its MIG instances with theirs. */
function withParts(card: DeviceReading, gpu: Entry): DeviceReading[] {
  const processes = gpu.children.filter(({ key }) => key === 'processes').flatMap(processesOf)
  const told = gpu.children.some(({ key }) => key === 'processes')
  const migs = gpu.children
    .flatMap((child) => (child.key === 'mig_devices' ? child.children : [child]))
    .filter(({ key }) => key === 'mig_device')
    .map(({ children }) => {
      const cells = cellsOf(children)
      const part = migOf(cells, card)
      const own = processes.filter(
        ({ place }) =>
          place === instanceOf(cell(cells, ['gpu_instance_id']), cell(cells, ['compute_instance_id'])),
      )
      return withProcesses(part, told, own)
    })
  return [withProcesses(card, told, processes), ...migs]
}

interface PlacedProcess {
  process: DeviceProcess
  /** GPU instance and compute instance that it runs on; undefined on a card that is not cut. */
  place: string | undefined
}

function withProcesses(
  reading: DeviceReading,
  told: boolean,
  placed: readonly PlacedProcess[],
): DeviceReading {
  if (!told) return reading
  return { ...reading, sensors: { ...reading.sensors, processes: placed.map(({ process }) => process) } }
}

function instanceOf(
  gpuInstance: string | undefined,
  computeInstance: string | undefined,
): string | undefined {
  return gpuInstance === undefined ? undefined : `${gpuInstance}/${computeInstance ?? '0'}`
}

/** In XML each process is a `process_info`; in text its lines follow one another, `Process ID` with the rest below it. */
function processesOf(list: Entry): PlacedProcess[] {
  let instance = new Map<string, string>()
  const found: (PlacedProcess | undefined)[] = []
  for (const entry of list.children) {
    if (entry.key === 'process_info') found.push(placedProcess(cellsOf(entry.children)))
    else if (entry.key === 'process_id') {
      found.push(placedProcess(new Map([...instance, ['pid', entry.value], ...cellsOf(entry.children)])))
      instance = new Map()
    } else instance.set(entry.key, entry.value)
  }
  return found.filter((process) => process !== undefined)
}

function placedProcess(cells: Cells): PlacedProcess | undefined {
  const process = processOf(
    cells.get('pid'),
    cell(cells, ['process_name', 'name']),
    cells.get('type'),
    cell(cells, ['used_memory', 'used_gpu_memory']),
  )
  const place = instanceOf(cell(cells, ['gpu_instance_id']), cell(cells, ['compute_instance_id']))
  return process === undefined ? undefined : { process: present(process), place }
}
