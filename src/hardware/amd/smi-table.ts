/** What `amd-smi` prints without a command (from ROCm 7.0): a table for people, two lines a card. */
import type { DeviceProcess, DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciAddressOf, present, textOf } from '../units.ts'
import { bytePairOf, pairOf } from './columns.ts'
import { cardAddressOf, cutsCard, driverVersionOf, isIntegrated, nameOf } from './identity.ts'
import { amdReading, sensorsOf, shareOf, temperatures } from './shape.ts'

const tool = 'amd-smi'

export const tableReader: OutputReader = {
  tool,
  matches: (text) => /\|\s*AMD-SMI \d/.test(text),
  read(text) {
    const lines = text.split('\n').map((line) => line.trim())
    const driverVersion = driverVersionOf(textOf(/amdgpu version:\s*(\S+)/.exec(text)?.[1]))
    const rocm = textOf(/ROCm version:\s*(\S+)/.exec(text)?.[1])
    const shared = present({
      // A version that was too long for its place was cut off.
      driverVersion: /^linux/i.test(driverVersion ?? '') ? undefined : driverVersion,
      runtime: rocm === undefined ? undefined : `ROCm ${rocm}`,
    })
    const devices = lines.flatMap((line, at) => {
      const upper = cellsOf(line)
      const lower = cellsOf(lines[at + 1] ?? '')
      if (!upper || !lower || pciAddressOf(upper[0]) === undefined) return []
      return [{ ...readCard(upper, lower), ...shared }]
    })
    if (devices.length === 0) return refused('the table has no card')
    const processes = lines.findIndex((line) => /^\|\s*Processes:/.test(line))
    if (processes >= 0) for (const line of lines.slice(processes)) addProcess(devices, line)
    return readingOf(tool, { devices })
  },
}

/** The two cells of a line. */
function cellsOf(line: string): [string, string] | undefined {
  const [, left, right] = /^\|([^|]+)\|([^|]+)\|$/.exec(line) ?? []
  return left === undefined || right === undefined ? undefined : [left.trim(), right.trim()]
}

function readCard([who, state]: [string, string], [place, use]: [string, string]): DeviceReading {
  const [, bdf, model] = /^(\S+)\s+(.*)$/.exec(who) ?? []
  const [index, , , mode] = place.split(/\s+/)
  const [memoryUse, heat, uncorrected, power] = split(state)
  const [busy, fan, memory] = split(use)
  const { first: powerWatts, second: limit } = pairOf(power)
  const { usedBytes, totalBytes } = bytePairOf(memory)
  const pciAddress = pciAddressOf(bdf)
  const name = nameOf(model)
  const profile = mode?.split('/')[0]
  const isPart = cutsCard(profile)
  const errors = numberOf(uncorrected)
  return amdReading(tool, {
    index: numberOf(index),
    pciAddress,
    name,
    kind: isPart ? 'partition' : isIntegrated(present({ name })) ? 'integrated' : undefined,
    partitionProfile: isPart ? profile.toUpperCase() : undefined,
    parent: isPart && pciAddress !== undefined ? { pciAddress: cardAddressOf(pciAddress) } : undefined,
    memoryTotalBytes: totalBytes,
    sensors: sensorsOf({
      utilization: shareOf(numberOf(busy)),
      memoryUtilization: shareOf(numberOf(memoryUse)),
      memoryUsedBytes: usedBytes,
      memoryTotalBytes: totalBytes,
      ...temperatures(undefined, numberOf(heat), undefined),
      powerWatts,
      // Where no limit is known it is printed as 0.
      powerLimitWatts: limit === 0 ? undefined : limit,
      ecc: errors === undefined ? undefined : { uncorrected: errors },
      fanRatio: shareOf(numberOf(fan)),
    }),
  })
}

/** Cells of the right half: figures stand with one space before their unit, and further from each other. */
function split(text: string): string[] {
  return text
    .replace(/(\d) (%|°C|W|MB|GB)/g, '$1$2')
    .split(/\s+/)
    .map((cell) => cell.replace(/(\d)([A-Z%°])/, '$1 $2'))
}

/** `|    0      36750  python3.12             2.0 MB    9.3 GB     9.5 GB  N/A     |` */
function addProcess(devices: readonly DeviceReading[], line: string): void {
  const [, index, pid, name, , vram] =
    /^\|\s*(\d+)\s+(\d+)\s+(.+?)\s{2,}(\S+(?: [KMGT]?B)?)\s+(\S+(?: [KMGT]?B)?)\s+.*\|$/.exec(line) ?? []
  const card = devices.find((device) => device.index === Number(index))
  if (!card || pid === undefined || !Number.isSafeInteger(Number(pid))) return
  const memoryBytes = bytesOf(vram, 'B')
  const process: DeviceProcess = present({ pid: Number(pid), name: textOf(name), memoryBytes })
  card.sensors = { ...card.sensors, processes: [...(card.sensors?.processes ?? []), process] }
}
