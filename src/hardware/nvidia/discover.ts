import type {
  DeviceReading,
  HostSystem,
  LinkReading,
  PlaceReading,
  ProbeResult,
  ProgramResult,
} from '../contract.ts'
import { listReader } from './list.ts'
import { nvlinksOf, withRates } from './nvlink.ts'
import { cardsOfKernel, deniedFile, moduleVersion, problemWithoutTool, unusable } from './presence.ts'
import { type NvidiaProblem, problemOf } from './problems.ts'
import { queryReader } from './query-csv.ts'
import { xmlReader } from './query-xml.ts'
import { failureOf, smi } from './smi.ts'
import { topoReader } from './topo.ts'

/** Fields that every driver since 340 knows. */
const oldFields =
  'index,uuid,name,pci.bus_id,driver_version,memory.total,memory.used,memory.free,utilization.gpu,temperature.gpu,power.draw,power.limit'

/** Asks for all that the cards of a machine are. Never throws. */
export async function discover(system: HostSystem): Promise<ProbeResult> {
  const [xml, topo, nvlink, capability] = await Promise.all([
    smi(system, ['-q', '-x']),
    smi(system, ['topo', '-m']),
    smi(system, ['nvlink', '-s']),
    smi(system, ['--query-gpu=uuid,pci.bus_id,compute_cap', '--format=csv']),
  ])
  if (xml.outcome === 'missing') return withoutTool(system)
  const found = await cardsOfTool(system, xml)
  if (found.devices.length === 0) return withoutAnswer(system, found.problem)
  const named = await withMigNames(system, withCapability(found.devices, capability))
  const { links, places } = topologyOf(topo, nvlink)
  const problems = [found.problem?.text, ...found.notes, ...named.map(problemOfCard)]
  return resultOf(named, links, places, problems)
}

function resultOf(
  devices: DeviceReading[],
  links: LinkReading[],
  places: PlaceReading[],
  problems: readonly (string | undefined)[],
): ProbeResult {
  const told = problems.filter((problem) => problem !== undefined)
  return { vendor: 'nvidia', devices, links, places, problems: [...new Set(told)] }
}

interface Found {
  devices: DeviceReading[]
  notes: string[]
  /** Why a better answer was not to be had. */
  problem?: NvidiaProblem | undefined
}

/** The whole report; where it fails a short one, then the shortest. */
async function cardsOfTool(system: HostSystem, xml: ProgramResult): Promise<Found> {
  const whole = xmlReader.read(xml.stdout)
  if (whole.ok && whole.reading.devices.length > 0) {
    // Of the notes only that cards are left out is a problem; the others speak of cards that are here.
    const notes = whole.reading.notes.filter((note) => note.includes('attached cards'))
    return {
      devices: whole.reading.devices,
      notes,
      problem: xml.outcome === 'timeout' ? failureOf(xml) : undefined,
    }
  }
  const problem = failureOf(xml) ?? problemOf(`${xml.stderr}\n${xml.stdout}`)
  // What is wrong with the driver is wrong for every question.
  if (problem !== undefined && problem.kind !== 'other') return { devices: [], notes: [], problem }
  const asked: [string[], typeof queryReader][] = [
    [[`--query-gpu=${oldFields}`, '--format=csv'], queryReader],
    [['-L'], listReader],
  ]
  for (const [args, reader] of asked) {
    const answer = await smi(system, args)
    const read = reader.read(answer.stdout)
    if (read.ok && read.reading.devices.length > 0)
      return { devices: read.reading.devices, notes: [], problem }
    // One that hangs will hang again.
    if (answer.outcome === 'timeout') return { devices: [], notes: [], problem: failureOf(answer) }
  }
  return { devices: [], notes: [], problem }
}

function withoutTool(system: HostSystem): ProbeResult {
  return resultOf(cardsOfKernel(system), [], [], [problemWithoutTool(system)])
}

/** The tool is there and tells of no card: what the kernel has, and what keeps the tool from it. */
function withoutAnswer(system: HostSystem, problem: NvidiaProblem | undefined): ProbeResult {
  const cards = cardsOfKernel(system)
  const denied = deniedFile(system)
  const permission: NvidiaProblem | undefined =
    denied === undefined
      ? undefined
      : {
          kind: 'no_permission',
          text: `${problemOf('permission denied')?.text} ${denied} may not be opened.`,
        }
  const known = permission ?? problem ?? (cards.length > 0 ? silentTool : undefined)
  if (known === undefined) return resultOf([], [], [], [])
  const version = known.kind === 'library_mismatch' ? moduleVersion(system) : undefined
  const text = version === undefined ? known.text : `${known.text} The loaded module is ${version}.`
  return resultOf(unusable(cards, { ...known, text }), [], [], [text])
}

const silentTool: NvidiaProblem = {
  kind: 'other',
  text: "nvidia-smi tells of no card, and the driver has some. Look in the kernel's log (dmesg | grep NVRM).",
}

/** The whole report leaves the compute capability out. Drivers before 510 do not tell it at all. */
function withCapability(devices: readonly DeviceReading[], answer: ProgramResult): DeviceReading[] {
  const read = queryReader.read(answer.stdout)
  if (!read.ok) return [...devices]
  const told = read.reading.devices.filter(({ computeCapability }) => computeCapability !== undefined)
  return devices.map((device) => {
    const address = device.kind === 'partition' ? device.parent?.pciAddress : device.pciAddress
    const computeCapability = told.find(
      ({ pciAddress }) => pciAddress !== undefined && pciAddress === address,
    )?.computeCapability
    return computeCapability === undefined ? device : { ...device, computeCapability }
  })
}

/** The whole report leaves out the UUID and the profile of MIG instances, which the list tells. */
async function withMigNames(system: HostSystem, devices: DeviceReading[]): Promise<DeviceReading[]> {
  if (!devices.some(({ kind, uuid }) => kind === 'partition' && uuid === undefined)) return devices
  const list = listReader.read((await smi(system, ['-L'])).stdout)
  const parts = list.ok ? list.reading.devices.filter(({ kind }) => kind === 'partition') : []
  return devices.map((device) => {
    if (device.kind !== 'partition') return device
    const same = parts.find(
      ({ index, parent }) => index === device.index && parent?.index === device.parent?.index,
    )
    if (same === undefined) return device
    const { uuid = device.uuid, partitionProfile } = same
    return {
      ...device,
      ...(uuid !== undefined && { uuid }),
      ...(partitionProfile !== undefined && { partitionProfile }),
    }
  })
}

function topologyOf(
  topo: ProgramResult,
  nvlink: ProgramResult,
): { links: LinkReading[]; places: PlaceReading[] } {
  const read = topoReader.read(topo.stdout)
  if (!read.ok) return { links: [], places: [] }
  return { links: withRates(read.reading.links, nvlinksOf(nvlink.stdout)), places: read.reading.places }
}

/** What a card that may not be used wants done. */
function problemOfCard(card: DeviceReading): string | undefined {
  if (card.kind === 'partition') return undefined
  const who = `NVIDIA card ${card.pciAddress ?? card.uuid ?? card.index ?? ''}`
  const why = card.stateReason === undefined ? '' : ` (${card.stateReason})`
  switch (card.state) {
    case 'lost':
      return (
        `${who} is lost${why}. Reset it (sudo nvidia-smi --gpu-reset) or reboot; if it comes again, check power cables, ` +
        'riser and seat, and the Xid lines of the kernel log (dmesg | grep Xid).'
      )
    case 'error':
      return `${who} does not answer${why}. Look in the kernel's log (dmesg | grep NVRM) and reboot.`
    case 'no_permission':
      return `${who} may not be used by this user${why}. Give it access to /dev/nvidia*.`
    case 'excluded':
      return `${who} is left out by the driver${why}. Take it off the module's option to use it.`
    default:
      return undefined
  }
}
