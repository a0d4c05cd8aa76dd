import { z } from 'zod'
import type { LinkClass, LinkReading } from '../contract.ts'

const Words = z.array(z.union([z.string(), z.object({ '#text': z.string() })]))

/** `distances2` and `distances2hetero` of hwloc's XML: numbers in words, cut into elements of some length. */
export const DistancesSchema = z.object({ name: z.string().optional(), indexes: Words, u64values: Words })
type Distances = z.infer<typeof DistancesSchema>

/** Matrices of the vendors' own bridges, in 10^6 bytes a second each way (hwloc, "Distances"). */
const bandwidthNames: Readonly<Record<string, { class: LinkClass; label: string }>> = {
  NVLinkBandwidth: { class: 'nvlink', label: 'NVLink' },
  XGMIBandwidth: { class: 'xgmi', label: 'XGMI' },
  XeLinkBandwidth: { class: 'xelink', label: 'XeLink' },
}

/** A square matrix with the index of each row: `OSDev:332`, or `332` where all are of one type. */
interface Matrix {
  indexes: string[]
  at(row: number, column: number): number
}

function matrixOf(distances: Distances): Matrix | undefined {
  const words = (parts: Distances['indexes']) =>
    parts
      .flatMap((part) => (typeof part === 'string' ? part : part['#text']).split(/\s+/))
      .filter((word) => word !== '')
  const indexes = words(distances.indexes).map((index) => index.slice(index.indexOf(':') + 1))
  const values = words(distances.u64values).map(Number)
  const isWhole = values.length === indexes.length ** 2 && values.every((value) => Number.isFinite(value))
  if (!isWhole) return undefined
  return { indexes, at: (row, column) => values[row * indexes.length + column] ?? 0 }
}

/** The distances between NUMA nodes, a note for each matrix: 10 is a node to itself. */
export function numaDistances(all: readonly Distances[]): string[] {
  return all.flatMap((distances) => {
    const matrix = distances.name === 'NUMALatency' ? matrixOf(distances) : undefined
    if (matrix === undefined) return []
    const { indexes } = matrix
    const rows = indexes.map((_, row) => indexes.map((__, column) => matrix.at(row, column)).join(' '))
    return [`distances between NUMA nodes ${indexes.join(', ')}: ${rows.join(' / ')}`]
  })
}

/**
 * Links by the vendors' own bridges. Two cards are joined by the bandwidth that stands between them, or through
 * NVSwitches: then by what the less of the two can put into those. The switches of a machine are one fabric; the links
 * between them (of a DGX-2's two boards) are told by no tool, and stand as zeros in the matrix.
 */
export function bandwidthLinks(
  all: readonly Distances[],
  addressOfGp: ReadonlyMap<string, string>,
  switches: ReadonlySet<string>,
): LinkReading[] {
  return all.flatMap((distances) => {
    const kind = bandwidthNames[distances.name ?? '']
    const matrix = kind === undefined ? undefined : matrixOf(distances)
    if (kind === undefined || matrix === undefined) return []
    const rows = matrix.indexes.map((gp, row) => ({ row, pciAddress: addressOfGp.get(gp), gp }))
    const switchRows = rows.filter(({ gp }) => switches.has(gp))
    const intoSwitches = (from: number) => switchRows.reduce((sum, { row }) => sum + matrix.at(from, row), 0)
    const cards = rows.filter(({ gp, pciAddress }) => pciAddress !== undefined && !switches.has(gp))
    return cards.flatMap((a, at) =>
      cards.slice(at + 1).flatMap((b) => {
        const straight = matrix.at(a.row, b.row)
        const megabytes = straight > 0 ? straight : Math.min(intoSwitches(a.row), intoSwitches(b.row))
        if (megabytes <= 0 || a.pciAddress === undefined || b.pciAddress === undefined) return []
        const ends = { a: { pciAddress: a.pciAddress }, b: { pciAddress: b.pciAddress } }
        return [{ ...ends, ...kind, gbPerSecond: megabytes / 1000 }]
      }),
    )
  })
}
