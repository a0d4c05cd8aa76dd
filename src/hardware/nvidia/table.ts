import type { DeviceProcess, DeviceReading, OutputReader, Sensors } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciAddressOf, present, ratioOf, textOf } from '../units.ts'
import { kindOf, processOf, runtimeOf, versionOf } from './card.ts'
import { filled, flagOf } from './cells.ts'
import { messagesOf, stateOfWords } from './messages.ts'

const tool = 'nvidia-smi'

/** The table that `nvidia-smi` prints without options, of any width: cards, MIG devices, processes. */
export const tableReader: OutputReader = {
  tool,
  matches: (text) => /^\|\s*NVIDIA-SMI\s+\d/m.test(text),
  read(text) {
    const head = /^\|\s*NVIDIA-SMI.*$/m.exec(text)?.[0] ?? ''
    const report = {
      driverVersion: versionOf(/(?:Driver|KMD) Version:\s*(\S+)/i.exec(head)?.[1]),
      runtime: runtimeOf(/CUDA(?: UMD)? Version:\s*(\S+)/i.exec(head)?.[1]),
    }
    const { devices: lost, notes } = messagesOf(text, tool)
    const lines = text.split(/\r?\n/)
    const cards = cardsOf(lines).map((card) => present({ ...card, ...report }))
    if (cards.length + lost.length === 0) return refused(`${tool}: no card is listed in the table`)
    if (cards.some(({ name }) => name?.endsWith('...'))) notes.push(`${tool}: names are cut in this table`)
    const processes = processesOf(lines)
    const devices = cards.flatMap((card) => [
      withProcesses(card, processes, undefined),
      ...migsOf(lines, card, processes),
    ])
    return readingOf(tool, { devices: [...devices, ...lost], notes })
  },
}

/** `|   0  NVIDIA A40   On  |   00000000:4F:00.0 Off |   0 |`: the last word of the first cell is the persistence or the driver model. */
const firstLine = /^\|\s*(\d+)\s+(\S.*?)\s+(On|Off|N\/A|WDDM|TCC|MCDM|ERR!)\s*\|([^|]*)\|([^|]*)\|/

function cardsOf(lines: readonly string[]): DeviceReading[] {
  const cards: DeviceReading[] = []
  lines.forEach((line, at) => {
    const [, index, name, mode, bus, ecc = ''] = firstLine.exec(line) ?? []
    const pciAddress = pciAddressOf(bus)
    if (index === undefined || pciAddress === undefined) return
    const second = (lines[at + 1] ?? '').split('|').slice(1, 4)
    const migMode = (lines[at + 2] ?? '').split('|')[3]
    const sensors = sensorsOf(second, ecc)
    cards.push(
      present({
        vendor: 'nvidia' as const,
        source: tool,
        index: Number(index),
        pciAddress,
        name,
        kind: kindOf(name),
        persistence: flagOf(mode),
        partitioned: flagOf(migMode?.replace('*', '')),
        memoryTotalBytes: sensors.memoryTotalBytes,
        ...stateOf([...second, line]),
        sensors: filled(sensors),
      }),
    )
  })
  return cards
}

/** `| 38%   44C    P2   97W /  250W |  1366MiB /   8192MiB |   7%   Default |` */
function sensorsOf([left = '', middle = '', right = '']: readonly string[], ecc: string): Sensors {
  const [, fan, temperature, , power, limit] =
    /^\s*(\S+)\s+(\S+)\s+(\S+)\s+(\S+)\s*\/\s*(\S+)/.exec(left) ?? []
  const [used, total] = middle.split('/')
  const switchedOn = flagOf(ecc)
  const errors = numberOf(ecc)
  return present({
    fanRatio: ratioOf(fan),
    temperatureC: numberOf(temperature),
    powerWatts: numberOf(power),
    powerLimitWatts: numberOf(limit),
    memoryUsedBytes: bytesOf(used, 'MiB'),
    memoryTotalBytes: bytesOf(total, 'MiB'),
    utilization: ratioOf(/^\s*(\S+)/.exec(right)?.[1]),
    // The count of uncorrected errors where ECC is on, else the word `Off`; a cut card shows `On`.
    ecc: filled(
      errors === undefined ? present({ enabled: switchedOn }) : { enabled: true, uncorrected: errors },
    ),
  })
}

function stateOf(cells: readonly string[]): Pick<DeviceReading, 'state' | 'stateReason'> {
  const text = cells.join(' ')
  const words = /GPU is lost|GPU requires? reset/i.exec(text)?.[0]
  if (words !== undefined) return { state: stateOfWords(words), stateReason: words }
  const errors = text.match(/ERR!/g)?.length ?? 0
  return errors < 2 ? {} : { state: 'error', stateReason: `${errors} of its values read "ERR!"` }
}

const migLine = /^\|\s*(\d+)\s+(\d+)\s+(\d+)\s+(\d+)\s*\|\s*(\S+)\s*\/\s*(\S+)\s*\|\s*(\d+)\s+(\S+)\s*\|/

function migsOf(
  lines: readonly string[],
  card: DeviceReading,
  processes: readonly TableProcess[],
): DeviceReading[] {
  return lines.flatMap((line) => {
    const [, gpu, gi, ci, index, used, total, units, errors] = migLine.exec(line) ?? []
    if (gpu === undefined || Number(gpu) !== card.index) return []
    const memoryTotalBytes = bytesOf(total, 'MiB')
    const uncorrected = numberOf(errors)
    const part: DeviceReading = present({
      vendor: 'nvidia' as const,
      source: tool,
      index: Number(index),
      name: card.name,
      kind: 'partition' as const,
      parent: present({ pciAddress: card.pciAddress, index: card.index }),
      memoryTotalBytes,
      computeUnits: numberOf(units),
      driverVersion: card.driverVersion,
      runtime: card.runtime,
      sensors: present({
        memoryTotalBytes,
        memoryUsedBytes: bytesOf(used, 'MiB'),
        ecc: uncorrected === undefined ? undefined : { uncorrected },
      }),
    })
    return [withProcesses(part, processes, `${gi}/${ci}`, card.index)]
  })
}

interface TableProcess {
  gpu: number
  /** GPU instance and compute instance; undefined on a card that is not cut. */
  place: string | undefined
  process: DeviceProcess
}

/** Tables before driver 450 have no columns for the instances. */
const processLine =
  /^\|\s+(\d+)\s+(?:(\d+|N\/A)\s+(\d+|N\/A)\s+)?(\d+)\s+(C\+G|M\+C|C|G)\s+(.*?)\s+(\d+\s*MiB|N\/A|Insufficient Permissions)\s*\|\s*$/

function processesOf(lines: readonly string[]): TableProcess[] {
  return lines.flatMap((line) => {
    const [, gpu, gi, ci, pid, type, name, used] = processLine.exec(line) ?? []
    const process = processOf(pid, name, type, used)
    if (process === undefined) return []
    return [{ gpu: Number(gpu), place: textOf(gi) === undefined ? undefined : `${gi}/${ci}`, process }]
  })
}

function withProcesses(
  reading: DeviceReading,
  processes: readonly TableProcess[],
  place: string | undefined,
  gpu: number | undefined = reading.index,
): DeviceReading {
  const own = processes.filter((entry) => entry.gpu === gpu && (place === undefined || entry.place === place))
  return own.length === 0
    ? reading
    : { ...reading, sensors: { ...reading.sensors, processes: own.map(({ process }) => process) } }
}
