import type { HostSystem, LinkClass, LinkReading } from '../contract.ts'
import { pciAddressOf } from '../units.ts'

/** The part of a host that the PCI folder of sysfs is read through. */
export type SysfsFiles = Pick<HostSystem, 'readText' | 'list' | 'realPath'>

export const devicesFolder = '/sys/bus/pci/devices'

const wholeAddress = /^[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]$/i

/** All addresses from the root port down to the card, those of a switch on the card itself among them. */
export function bridgesAndCard(files: SysfsFiles, address: string): string[] {
  const real = files.realPath(`${devicesFolder}/${address}`)
  if (real === undefined) return []
  return real.split('/').flatMap((part) => (wholeAddress.test(part) ? (pciAddressOf(part) ?? []) : []))
}

/**
 * A path without the bridges that are part of the card, and the uppermost of those (the card itself where there are
 * none). AMD's and Intel's cards carry a small switch, told by its vendor id; the slot's link ends at that switch, and
 * two such cards in one real switch are still neighbours. The root port is never taken for a part of the card.
 */
export function withoutOwnSwitch(
  path: readonly string[],
  vendorOf: (address: string) => string | undefined,
): { path: string[]; port: string | undefined } {
  const card = path.at(-1)
  if (card === undefined) return { path: [], port: undefined }
  const vendor = vendorOf(card)
  let first = path.length - 1
  const isOwn = (index: number) =>
    index >= 1 && vendor !== undefined && vendorOf(path[index] ?? '') === vendor
  while (isOwn(first - 1)) first -= 1
  return { path: [...path.slice(0, first), card], port: path[first] }
}

/**
 * The chain of PCI addresses from the root port down to the card, a switch on the card itself left out. Empty where
 * there is no such device; the card alone where it is part of the root complex.
 */
export function pciPath(files: SysfsFiles, address: string): string[] {
  const vendorOf = (at: string) => files.readText(`${devicesFolder}/${at}/vendor`)?.trim()
  return withoutOwnSwitch(bridgesAndCard(files, address), vendorOf).path
}

/** Domain and bus of a root port: ports of one host bridge share them. */
const hostBridgeOf = (path: readonly string[]) => path[0]?.slice(0, path[0].lastIndexOf(':'))

/**
 * How two cards are joined, from their paths (`pciPath`) and NUMA nodes, in the meaning of the legend of `nvidia-smi
 * topo -m`: `pix`: at most one switch between them; `pxb`: several switches below one root port; `phb`: through the
 * host bridge that both hang on; `node`: through several host bridges of one NUMA node; `sys`: from one NUMA node to
 * another. A machine that tells no NUMA node has one. Without a path on either side there is `sys` where the nodes
 * differ, and `unknown` otherwise. The same address twice is `same_board`.
 */
export function linkClassOf(
  pathA: readonly string[],
  numaA: number | undefined,
  pathB: readonly string[],
  numaB: number | undefined,
): LinkClass {
  if (pathA.length === 0 || pathB.length === 0) return numaA === numaB ? 'unknown' : 'sys'
  if (pathA.at(-1) === pathB.at(-1)) return 'same_board'
  let common = 0
  while (pathA[common] !== undefined && pathA[common] === pathB[common]) common += 1
  if (common > 0) {
    // Below the upstream port of one switch come a downstream port and the card.
    return Math.max(pathA.length, pathB.length) - common <= 2 ? 'pix' : 'pxb'
  }
  if (hostBridgeOf(pathA) === hostBridgeOf(pathB)) return 'phb'
  return numaA === numaB ? 'node' : 'sys'
}

/** The way between each two of the cards whose paths are known. */
export function linksBetween(
  cards: readonly { address: string; path?: string[]; numaNode?: number }[],
): LinkReading[] {
  return cards.flatMap((a, at) =>
    cards.slice(at + 1).flatMap((b) => {
      const link = linkClassOf(a.path ?? [], a.numaNode, b.path ?? [], b.numaNode)
      if (link === 'unknown' || a.path === undefined || b.path === undefined) return []
      const label = link.toUpperCase()
      return [{ a: { pciAddress: a.address }, b: { pciAddress: b.address }, class: link, label }]
    }),
  )
}
