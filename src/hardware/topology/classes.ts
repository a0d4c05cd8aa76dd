import type { Link, LinkClass } from '../contract.ts'

/** How a class of link is shown. */
export interface ClassWords {
  /** Where no tool gave a label. */
  label: string
  meaning: string
}

/** Every class, nearest first. */
export const linkClasses: Readonly<Record<LinkClass, ClassWords>> = {
  same_board: { label: 'BOARD', meaning: 'parts of one card or chip' },
  nvlink: { label: 'NV', meaning: 'NVLink; the number is of bonded links' },
  xgmi: { label: 'XGMI', meaning: "AMD's Infinity Fabric" },
  xelink: { label: 'XELINK', meaning: "Intel's Xe Link" },
  pix: { label: 'PIX', meaning: 'one PCIe switch' },
  pxb: { label: 'PXB', meaning: 'several PCIe switches' },
  phb: { label: 'PHB', meaning: 'the host bridge of one CPU' },
  node: { label: 'NODE', meaning: 'host bridges of one NUMA node' },
  sys: { label: 'SYS', meaning: 'from one NUMA node to another' },
  unknown: { label: '?', meaning: 'not told' },
}

const order = Object.keys(linkClasses)

/** Below zero where `a` joins more closely than `b`. */
export function compareClasses(a: LinkClass, b: LinkClass): number {
  return order.indexOf(a) - order.indexOf(b)
}

/** The classes of some links, each once, nearest first. */
export function classesOf(links: readonly Link[]): LinkClass[] {
  return [...new Set(links.map((link) => link.class))].toSorted(compareClasses)
}

/** Whether a class is a vendor's own bridge between cards, besides PCIe. */
export function isBridge(linkClass: LinkClass): boolean {
  return linkClass === 'nvlink' || linkClass === 'xgmi' || linkClass === 'xelink'
}
