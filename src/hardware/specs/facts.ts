import type { DeviceFacts, Fact, Precision } from '../contract.ts'
import { type CardTraits, specOf } from './lookup.ts'
import { nvlinkGeneration } from './nvlink.ts'
import { supportsOfCompute, supportsOfGfx } from './supports.ts'
import type { Doubt, GpuSpec } from './table.ts'

/** What part of a card a device is, 0 to 1 each. */
interface Share {
  compute: number
  bandwidth: number
}

/**
 * What a card does not tell of itself. Figures of the table are marked `table`, those of a part of a card (a MIG
 * instance, a chip with fewer cores) as its share, `derived`. Of a card that the table does not have only what its
 * compute capability or target says; of a partition of unknown size no figures.
 */
export function factsOf(card: CardTraits): DeviceFacts {
  const spec = specOf(card)
  if (!spec) return { tflops: {}, supports: derivedSupports(card) }
  const share = shareOf(spec, card)
  const whole = card.kind !== 'partition'
  return {
    ...(share && { bandwidthGBs: factOf(spec, spec.bandwidthGBs, share.bandwidth, ['bandwidth']) }),
    tflops: share ? tflopsOf(spec, share.compute) : {},
    ...(whole && spec.tdpWatts !== undefined && { tdpWatts: factOf(spec, spec.tdpWatts, 1, ['tdp']) }),
    // Instances of MIG have no NVLink.
    ...(spec.bridge && (whole || spec.vendor !== 'nvidia') && { interconnect: interconnectOf(spec) }),
    ...(spec.pcie && { pcie: spec.pcie }),
    supports: spec.supports,
    tableEntry: spec.card,
  }
}

function derivedSupports({ computeCapability, gfx }: CardTraits): DeviceFacts['supports'] {
  if (computeCapability !== undefined) return supportsOfCompute(computeCapability)
  return gfx === undefined ? {} : supportsOfGfx(gfx)
}

function factOf(spec: GpuSpec, whole: number, share: number, doubts: readonly Doubt[]): Fact {
  const uncertain = doubts.some((doubt) => spec.doubts.has(doubt))
  return {
    value: Number((whole * share).toPrecision(6)),
    from: share === 1 ? 'table' : 'derived',
    ...(uncertain && { uncertain }),
  }
}

function tflopsOf(spec: GpuSpec, share: number): DeviceFacts['tflops'] {
  const precisions = Object.entries(spec.tflops) as [Precision, number][]
  return Object.fromEntries(
    precisions.map(([precision, peak]) => [precision, factOf(spec, peak, share, ['tflops', precision])]),
  )
}

function interconnectOf(spec: GpuSpec): NonNullable<DeviceFacts['interconnect']> {
  const { name = '', gbPerSecond } = spec.bridge ?? {}
  const generation = name === 'NVLink' && nvlinkGeneration(spec.computeCapability ?? '')
  return {
    name: generation ? `${name} ${generation}` : name,
    ...(gbPerSecond !== undefined && { gbPerSecond: factOf(spec, gbPerSecond, 1, ['bridge']) }),
  }
}

function shareOf(spec: GpuSpec, card: CardTraits): Share | undefined {
  const profile = card.partitionProfile ?? ''
  const cores = coreShare(spec, card.computeUnits)
  if (card.kind !== 'partition') {
    // Chips with some cores switched off keep their memory; AMD's compute partitions share it.
    return { compute: cores ?? 1, bandwidth: spec.vendor === 'amd' ? (cores ?? 1) : 1 }
  }
  if (spec.vendor === 'nvidia') return migShare(spec, profile)
  const part = cores ?? (spec.vendor === 'intel' ? tileShare(spec, profile) : amdShare(spec, profile))
  return part === undefined ? undefined : { compute: part, bandwidth: part }
}

function coreShare(spec: GpuSpec, cores: number | undefined): number | undefined {
  const most = Math.max(0, ...spec.cores)
  return cores === undefined || cores <= 0 || most === 0 ? undefined : Math.min(1, cores / most)
}

/**
 * `3g.40gb`, `1c.3g.40gb`: compute slices of seven (of four on the smaller cards) and memory in eighths of the card,
 * after NVIDIA's MIG user guide.
 */
function migShare(spec: GpuSpec, profile: string): Share | undefined {
  const match = /^(?:(\d)c\.)?(\d)g\.(\d+)gb/.exec(profile)
  if (!match) return undefined
  const slices = spec.card === 'A30' || spec.card.startsWith('RTX PRO') ? 4 : 7
  const eighths = Math.max(1, Math.round((Number(match[3]) / spec.vramGiB) * 8))
  return {
    compute: Math.min(1, Number(match[1] ?? match[2]) / slices),
    bandwidth: Math.min(1, eighths / 8),
  }
}

/** Compute partitions of Instinct cards; in CPX mode each of the dies, eight or (MI300A) six, is one. */
function amdShare(spec: GpuSpec, profile: string): number | undefined {
  const dies = spec.card === 'Instinct MI300A' ? 6 : 8
  const parts = { SPX: 1, DPX: 2, TPX: 3, QPX: 4, CPX: dies }[profile.toUpperCase().split(/[^A-Z]/)[0] ?? '']
  return parts === undefined ? undefined : 1 / parts
}

/** Of Intel's cards one has two tiles. */
function tileShare(spec: GpuSpec, profile: string): number | undefined {
  if (!/^tile\b/i.test(profile)) return undefined
  return spec.card.endsWith('Max 1550') ? 1 / 2 : 1
}
