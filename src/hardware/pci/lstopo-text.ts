import type { OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { describeFunctions, numaNodeOf, type PciFunction } from './functions.ts'

const tool = 'lstopo (text)'

/** hwloc's words for the classes that are of interest. */
const classWords: Readonly<Record<string, number>> = {
  VGA: 0x0300,
  '3D': 0x0302,
  Display: 0x0380,
  ProcAccel: 0x1200,
}

/** An object of the tree that lines further in belong to. */
interface Scope {
  indent: number
  numaNode?: number
  bridge?: string
}

const bus = /(?:busid=)?((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])/i

/** `PCI L#0 (busid=0004:05:00.0 id=10de:1db8 class=0300(VGA))`, or `PCI 05:00.0 (VGA)` without `-v`. */
function readPciLine(line: string): PciFunction | undefined {
  const address = pciAddressOf(bus.exec(line)?.[1])
  if (address === undefined) return undefined
  const [, vendor, device] = /id=([0-9a-f]{4}):([0-9a-f]{4})/i.exec(line.replace('busid=', '')) ?? []
  const [, code] = /class=([0-9a-f]{4})/i.exec(line) ?? []
  const [, word = ''] = /\((\w+)\)\)?\s*$/.exec(line) ?? []
  const isKnown = vendor !== undefined && vendor !== '0000'
  return present({
    address,
    classCode: code === undefined ? classWords[word] : Number.parseInt(code, 16),
    vendorId: isKnown ? `0x${vendor.toLowerCase()}` : undefined,
    deviceId: isKnown ? `0x${device?.toLowerCase()}` : undefined,
  })
}

function functionsOf(text: string): PciFunction[] {
  const scopes: Scope[] = [{ indent: -1 }]
  const functions: PciFunction[] = []
  for (const line of text.split(/\r?\n/)) {
    const indent = line.search(/\S/)
    if (indent < 0) continue
    while ((scopes.at(-1)?.indent ?? -1) >= indent && scopes.length > 1) scopes.pop()
    const outer = scopes.at(-1)
    const scope: Scope = { indent }
    if (/^\s*NUMANode\b/.test(line) && !line.includes('GPUMemory')) {
      scope.numaNode = numaNodeOf(/P#(\d+)/.exec(line)?.[1]) ?? 0
      // In hwloc 2 a node stands beside what is near it, below the same object.
      if (outer !== undefined && outer.indent >= 0) outer.numaNode ??= scope.numaNode
    }
    const bridge = /^\s*PCIBridge\b/.test(line) ? pciAddressOf(bus.exec(line)?.[1]) : undefined
    if (bridge !== undefined) scope.bridge = bridge
    const fn = /^\s*PCI\b/.test(line) ? readPciLine(line) : undefined
    if (fn !== undefined) {
      const numaNode = scopes.findLast((at) => at.numaNode !== undefined)?.numaNode
      const path = [...scopes.flatMap((at) => at.bridge ?? []), fn.address]
      functions.push(present({ ...fn, numaNode, path }))
    }
    scopes.push(scope)
  }
  return functions
}

/** `lstopo -v` and `lstopo` as text. */
export const lstopoTextReader: OutputReader = {
  tool,
  matches: (text) => /^Machine (?:L#\d+ )?\(/m.test(text),
  read(text) {
    if (!this.matches(text)) return refused('no line begins with "Machine ("')
    const functions = functionsOf(text)
    const described = describeFunctions(tool, functions)
    const unnamed = described.devices.filter(({ pciVendorId }) => pciVendorId === undefined).length
    if (unnamed > 0) described.notes.push(`${unnamed} cards stand without a vendor's id`)
    if (described.devices.length === 0) described.notes.push('the topology holds no GPU on the PCI bus')
    return readingOf(tool, described)
  },
}
