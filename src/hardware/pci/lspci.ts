import type { OutputReader, ReadResult } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { describeFunctions, numaNodeOf, type PciFunction } from './functions.ts'
import { generationOf, linkOf } from './link.ts'
import { classCodeOf, productName, splitVendor, unnamedDeviceId } from './names.ts'
import { withoutOwnSwitch } from './path.ts'

/** One device of a text: its first line, and the indented ones below. */
interface Block {
  address: string
  head: string
  details: string[]
}

const header = /^((?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\s(?!")(\S[^:]*: .*)$/i

function blocksOf(text: string): Block[] {
  const blocks: Block[] = []
  for (const line of text.split(/\r?\n/)) {
    const [, slot, head] = header.exec(line) ?? []
    const address = pciAddressOf(slot)
    if (address !== undefined && head !== undefined)
      blocks.push({ address, head: head.trimEnd(), details: [] })
    else if (/^\s+\S/.test(line)) blocks.at(-1)?.details.push(line.trim())
  }
  return blocks
}

/** `3D controller [0302]: NVIDIA Corporation GA102GL [A10] [10de:2236] (rev a1)`, without ids, or ids alone. */
function readHead(head: string): Partial<PciFunction> {
  const colon = head.indexOf(': ')
  const classCode = classCodeOf(head.slice(0, colon))
  const silent = /\(rev ff\)/.test(head) ? true : undefined
  const device = head.slice(colon + 2).replace(/(?: ?\((?:rev|prog-if)[^()]*\))+$/, '')
  const [ids, vendor, id] = /(?:^|\s)\[?([0-9a-f]{4}):([0-9a-f]{4})\]?$/i.exec(device) ?? []
  const { vendorId, rest } = splitVendor(ids === undefined ? device : device.slice(0, -ids.length))
  const unnamed = unnamedDeviceId(rest)
  return present({
    classCode,
    silent,
    vendorId: vendor === undefined ? vendorId : `0x${vendor.toLowerCase()}`,
    deviceId: id === undefined ? unnamed : `0x${id.toLowerCase()}`,
    name: unnamed === undefined && !/^Device$/i.test(rest) ? productName(rest) : undefined,
  })
}

const after = (details: readonly string[], label: string) =>
  details.find((line) => line.startsWith(label))?.slice(label.length)

/** What the lines of `-v`, `-vv`, `-vvv` and `-k` tell. */
function readDetails(details: readonly string[], tellsDrivers: boolean): Partial<PciFunction> {
  const [capable, now] = [after(details, 'LnkCap:'), after(details, 'LnkSta:')]
  const width = (line: string | undefined) => /Width (x\d+)/.exec(line ?? '')?.[1]
  const speed = (line: string | undefined) => (generationOf(line) === undefined ? undefined : line)
  return present({
    numaNode: numaNodeOf(after(details, 'NUMA node:')),
    driver: after(details, 'Kernel driver in use:')?.trim() ?? (tellsDrivers ? null : undefined),
    silent: details.some((line) => line.startsWith('!!! Unknown header type 7f')) ? true : undefined,
    pcie: linkOf(speed(now), width(now), speed(capable), width(capable)),
  })
}

/** The address of the bridge above each bus; the key is domain and bus, `0000:3b`. */
function bridgesAbove(blocks: readonly Block[]): Map<string, string> {
  const above = new Map<string, string>()
  for (const { address, details } of blocks) {
    const [, bus] = /secondary=([0-9a-f]{2})/.exec(after(details, 'Bus:') ?? '') ?? []
    if (bus !== undefined) above.set(`${address.slice(0, address.indexOf(':'))}:${bus}`, address)
  }
  return above
}

/** From the root port down; a ring in a garbled text ends where it closes. */
function pathTo(address: string, above: ReadonlyMap<string, string>): string[] {
  const path = [address]
  for (let at = address; ; ) {
    const bridge = above.get(at.slice(0, at.lastIndexOf(':')))
    if (bridge === undefined || path.includes(bridge)) return path
    path.unshift(bridge)
    at = bridge
  }
}

/** The functions of a text of `lspci`, whatever switches it was called with. */
function functionsOf(blocks: readonly Block[]): PciFunction[] {
  const tellsDrivers = blocks.some(({ details }) => after(details, 'Kernel driver in use:') !== undefined)
  const above = bridgesAbove(blocks)
  const functions = new Map<string, PciFunction>()
  for (const { address, head, details } of blocks) {
    functions.set(address, { address, ...readHead(head), ...readDetails(details, tellsDrivers) })
  }
  if (above.size === 0) return [...functions.values()]
  return [...functions.values()].map((fn) => {
    const { path, port } = withoutOwnSwitch(pathTo(fn.address, above), (at) => functions.get(at)?.vendorId)
    const pcie = functions.get(port ?? '')?.pcie ?? fn.pcie
    return present({ ...fn, path, pcie })
  })
}

function readLspci(tool: string, text: string): ReadResult {
  const blocks = blocksOf(text)
  if (blocks.length === 0) return refused('no line begins with a PCI address')
  const described = describeFunctions(tool, functionsOf(blocks))
  if (blocks.some(({ details }) => details.some((line) => line.includes('<access denied>')))) {
    described.notes.push('links are not told: run lspci as root to see them')
  }
  if (described.devices.length === 0) {
    described.notes.push(`no GPU among ${blocks.length} PCI devices`)
  }
  return readingOf(tool, described)
}

/** `lspci -v`, `-vv`, `-vvv`, `-k`: devices with indented lines below. */
export const lspciVerboseReader: OutputReader = {
  tool: 'lspci -vvv',
  matches: (text) =>
    /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] [^":\n]+: [^\n]*\n[ \t]+\S/im.test(text),
  read: (text) => readLspci('lspci -vvv', text),
}

/** `lspci`, `lspci -nn`, `lspci -n`: one line a device. */
export const lspciReader: OutputReader = {
  tool: 'lspci -nn',
  matches: (text) => /^(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7] [^":\n]+: \S/im.test(text),
  read: (text) => readLspci('lspci -nn', text),
}
