import type { DeviceReading, LinkReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { numberOf, present } from '../units.ts'
import { runtimeOf } from './card.ts'
import { filled, flagOf } from './cells.ts'

const tool = 'deviceQuery'
const deviceLine = /^\s*Device\s+(\d+):\s*"(.*)"\s*$/i
const peerLine = /^\s*>?\s*Peer access from .*\(GPU(\d+)\)\s*->\s*.*\(GPU(\d+)\)\s*:\s*(Yes|No)/i

/**
 * `deviceQuery` of the CUDA samples. Its numbers are CUDA's (fastest first, unless CUDA_DEVICE_ORDER=PCI_BUS_ID), not
 * those of nvidia-smi; its PCI numbers are decimal.
 */
export const deviceQueryReader: OutputReader = {
  tool,
  matches: (text) => /CUDA Device Query|CUDA Capability Major\/Minor/i.test(text),
  read(text) {
    const devices: DeviceReading[] = []
    const peers: { a: number; b: number; access: boolean }[] = []
    let facts: string[] | undefined
    const close = (): void => {
      const card = facts === undefined ? undefined : cardOf(facts)
      if (card !== undefined) devices.push(card)
      facts = undefined
    }
    for (const line of text.split(/\r?\n/)) {
      const [, a, b, access] = peerLine.exec(line) ?? []
      if (a !== undefined) peers.push({ a: Number(a), b: Number(b), access: access?.toLowerCase() === 'yes' })
      if (deviceLine.test(line)) {
        close()
        facts = []
      }
      facts?.push(line)
    }
    close()
    if (devices.length === 0) return refused(`${tool}: no device is listed in it`)
    return readingOf(tool, { devices, links: linksOf(peers, devices) })
  },
}

function cardOf(lines: readonly string[]): DeviceReading {
  const [, index, name] = deviceLine.exec(lines[0] ?? '') ?? []
  const value = (title: RegExp): string | undefined => {
    const line = lines.find((text) => title.test(text))
    return line
      ?.replace(title, '')
      .replace(/^[^:]*:\s*/, '')
      .trim()
  }
  const memoryTotalBytes = numberOf(/\(([\d,]+) bytes\)/.exec(value(/global memory/i) ?? '')?.[1])
  const ecc = flagOf(value(/has ECC support/i))
  return present({
    vendor: 'nvidia' as const,
    source: tool,
    index: Number(index),
    name,
    pciAddress: addressOf(value(/PCI Domain ID/i)),
    kind: flagOf(value(/Integrated GPU/i)) === true ? ('integrated' as const) : ('discrete' as const),
    memoryTotalBytes,
    runtime: runtimeOf(value(/CUDA Driver Version \/ Runtime Version\s*/i)),
    computeCapability: /^\d+\.\d+/.exec(value(/CUDA Capability/i) ?? '')?.[0],
    computeUnits: numberOf(/\((\d+)\)\s*Multiprocessors/i.exec(lines.join('\n'))?.[1]),
    sensors: filled(
      present({
        memoryTotalBytes,
        graphicsClockMaxMhz: numberOf(value(/GPU (Max )?Clock rate/i)),
        memoryClockMaxMhz: numberOf(value(/Memory Clock rate/i)),
        ecc: ecc === undefined ? undefined : { enabled: ecc },
      }),
    ),
  })
}

/** `0 / 104 / 0`: domain, bus and device in decimal. */
function addressOf(text: string | undefined): string | undefined {
  const [, domain, bus, device] = /^(\d+)\s*\/\s*(\d+)\s*\/\s*(\d+)/.exec(text ?? '') ?? []
  if (domain === undefined || Number(bus) > 255 || Number(device) > 31) return undefined
  const hex = (digits: string | undefined, length: number): string =>
    Number(digits).toString(16).padStart(length, '0')
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.0`
}

/** Each pair once where both ways agree. */
function linksOf(
  peers: readonly { a: number; b: number; access: boolean }[],
  devices: readonly DeviceReading[],
): LinkReading[] {
  const end = (index: number): LinkReading['a'] =>
    present({ index, pciAddress: devices.find((device) => device.index === index)?.pciAddress })
  return peers
    .filter(
      ({ a, b, access }) =>
        a < b || !peers.some((back) => back.a === b && back.b === a && back.access === access),
    )
    .map(({ a, b, access }) => ({
      a: end(a),
      b: end(b),
      class: 'unknown' as const,
      label: access ? 'P2P' : 'no P2P',
      peerAccess: access,
    }))
}
