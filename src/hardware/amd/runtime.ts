/** What ROCm's runtimes see: `rocminfo` (ROCr), and `deviceQuery` built for HIP. */
import type { DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { bytesOf, numberOf, pciIdOf, present } from '../units.ts'
import { gfxOf, isIntegrated, nameOf, uniqueIdOf } from './identity.ts'
import { amdReading, sensorsOf } from './shape.ts'

/** `0000:26:00.0` of domain 0 and 9728 = 0x2600: eight bits of bus, five of device, three of function. */
export function addressOfLocation(domain: number, location: number): string {
  const hex = (value: number, digits: number) => value.toString(16).padStart(digits, '0')
  const [bus, device, fn] = [(location >> 8) & 0xff, (location >> 3) & 0x1f, location & 0x7]
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(device, 2)}.${fn}`
}

/** `rocminfo`: an agent for each processor and each GPU, in ROCr's order. */
export const rocminfoReader: OutputReader = {
  tool: 'rocminfo',
  matches: (text) => /^HSA (Agents|System Attributes)/m.test(text),
  read(text) {
    const agents = text.split(/^\*{3,}\s*\n\s*Agent \d+\s*\n\*{3,}\s*$/m).slice(1)
    const gpus = agents.filter((agent) => fieldOf(agent, 'Device Type') === 'GPU')
    if (gpus.length === 0) return refused('ROCr sees no GPU: only processors are among its agents')
    return readingOf('rocminfo', { devices: gpus.map(readAgent) })
  },
}

function fieldOf(agent: string, name: string): string | undefined {
  const start = agent.indexOf(`\n  ${name}:`)
  if (start < 0) return undefined
  const from = start + name.length + 4
  const end = agent.indexOf('\n', from)
  return agent.slice(from, end < 0 ? undefined : end).trim()
}

function readAgent(agent: string, index: number): DeviceReading {
  const location = numberOf(fieldOf(agent, 'BDFID'))
  const domain = numberOf(fieldOf(agent, 'Domain')) ?? 0
  const chip = numberOf(fieldOf(agent, 'Chip ID'))
  const identity = present({
    gfx: gfxOf(fieldOf(agent, 'Name')),
    name: nameOf(fieldOf(agent, 'Marketing Name')),
    pciDeviceId: chip === undefined ? undefined : pciIdOf(chip.toString(16).padStart(4, '0')),
  })
  const isApu = /\bAPU\b/.test(fieldOf(agent, 'Memory Properties') ?? '') || isIntegrated(identity)
  const pool = /Segment:\s*GLOBAL; FLAGS: COARSE GRAINED\s*\n\s*Size:\s*(\d+)/.exec(agent)?.[1]
  return amdReading('rocminfo', {
    index,
    uuid: uniqueIdOf(fieldOf(agent, 'Uuid')),
    pciAddress: location === undefined || location > 0xffff ? undefined : addressOfLocation(domain, location),
    ...identity,
    kind: isApu ? 'integrated' : 'discrete',
    computeUnits: numberOf(fieldOf(agent, 'Compute Unit')),
    memoryTotalBytes: bytesOf(pool, 'KB'),
    sensors: sensorsOf({ graphicsClockMaxMhz: numberOf(fieldOf(agent, 'Max Clock Freq. (MHz)')) }),
  })
}

/** `deviceQuery` of HIP: `[GPU 0] 304: Number of multi-processors(Compute Units: CUs)`. */
export const deviceQueryReader: OutputReader = {
  tool: 'deviceQuery (HIP)',
  matches: (text) => /^\[GPU \d+\] .*: AMD GCN Arch Name/m.test(text),
  read(text) {
    const cards = new Map<number, Map<string, string>>()
    for (const [, index = '', words = ''] of text.matchAll(/^\[GPU (\d{1,4})\] (.*)$/gm)) {
      const facts = cards.get(Number(index)) ?? new Map<string, string>()
      cards.set(Number(index), facts)
      const named = /^(.*?): (.+)$/.exec(words)
      if (named) facts.set(named[2] ?? '', named[1] ?? '')
      else facts.set('name', words)
    }
    return readingOf('deviceQuery (HIP)', {
      devices: [...cards].map(([index, facts]) => readQuery(index, facts)),
    })
  },
}

function readQuery(index: number, facts: ReadonlyMap<string, string>): DeviceReading {
  const number = (name: string) => numberOf(facts.get(name))
  const [domain = 0, bus, device] = [number('PCI Domain ID'), number('PCI Bus ID'), number('PCI Device ID')]
  const identity = present({ gfx: gfxOf(facts.get('AMD GCN Arch Name')), name: nameOf(facts.get('name')) })
  const memoryClockGhz = number('Max global memory clock frequency in GHz')
  return amdReading('deviceQuery (HIP)', {
    index,
    uuid: uniqueIdOf(facts.get('UUID of this device')),
    pciAddress: bus === undefined ? undefined : addressOfLocation(domain, (bus << 8) | ((device ?? 0) << 3)),
    ...identity,
    kind: isIntegrated(identity) ? 'integrated' : 'discrete',
    computeUnits: number('Number of multi-processors(Compute Units: CUs)'),
    memoryTotalBytes: bytesOf(facts.get('Total Global Memory (MB)'), 'MB'),
    sensors: sensorsOf({
      graphicsClockMaxMhz: number('Max clock frequency of the multi-processors in MHz'),
      memoryClockMaxMhz: memoryClockGhz === undefined ? undefined : Math.round(memoryClockGhz * 1000),
    }),
  })
}
