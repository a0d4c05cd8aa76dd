import type { ModelShape } from '../../models/index.ts'
import { estimateMemory, type MemoryWishes } from './estimate.ts'

/**
 * Bits that a weight takes on average in the usual quantisations, the finest first. Measured over whole files, so that
 * the finer types of some tensors and the scales are in it.
 */
const ladder: readonly (readonly [fileType: string, bits: number])[] = [
  ['F32', 32],
  ['F16', 16],
  ['BF16', 16],
  ['Q8_0', 8.5],
  ['Q6_K', 6.6],
  ['Q5_K_M', 5.7],
  ['Q5_K_S', 5.55],
  ['Q5_1', 6],
  ['Q5_0', 5.55],
  ['Q4_K_M', 4.85],
  ['Q4_K_S', 4.6],
  ['Q4_1', 5],
  ['Q4_0', 4.6],
  ['IQ4_NL', 4.55],
  ['IQ4_XS', 4.3],
  ['MXFP4', 4.3],
  ['Q3_K_L', 4.3],
  ['Q3_K_M', 3.9],
  ['IQ3_M', 3.7],
  ['IQ3_S', 3.5],
  ['Q3_K_S', 3.5],
  ['IQ3_XS', 3.3],
  ['IQ3_XXS', 3.1],
  ['Q2_K', 3.2],
  ['Q2_K_S', 3],
  ['IQ2_M', 2.7],
  ['IQ2_S', 2.5],
  ['IQ2_XS', 2.4],
  ['IQ2_XXS', 2.1],
  ['IQ1_M', 1.8],
  ['IQ1_S', 1.6],
]
const bitsByName = new Map(ladder)
/** Embedding and output are kept finer, which shows in small models. */
const smallModelParameters = 4e9
const smallModelBits = 0.35

/** Below these a model of so many parameters loses too much to be chosen unasked. */
const floors: readonly (readonly [mostParameters: number, bits: number])[] = [
  [8.5e9, 4.2],
  [34.5e9, 3.25],
]

const shortestContext = 4096

/** One file of a model: what a tag of a registry stands for. */
export interface ModelVariant {
  tag: string
  fileType: string
  /** As read from the file's head, or only how many parameters it has. */
  of: ModelShape | { parameterCount: number }
  /** Length of the file, where it is known. */
  bytes?: number
}

/** How a variant would be run, and what it would take. */
export interface VariantFit {
  variant: ModelVariant
  neededBytes: number
  contextLength: number
  kvCacheType: string
  /** Why it was taken, or left. */
  reason: string
}

export interface VariantChoice {
  chosen?: VariantFit
  /** The others, finest first. */
  rejected: readonly VariantFit[]
}

export interface VariantWishes extends Omit<MemoryWishes, 'contextLength' | 'slots'> {
  /** Tokens of a slot; a shorter context is taken only where this is not a must. */
  contextLength: number
  slots?: number
  /** The context is not to be cut. */
  exactContext?: boolean
  /** Rather one that is too coarse for its size than none. */
  anyQuality?: boolean
}

/** Average bits of a weight in a quantisation by its name (`Q4_K_M`); undefined for one that is not known. */
export function bitsPerWeight(
  fileType: string,
  parameterCount = Number.POSITIVE_INFINITY,
): number | undefined {
  const bits = bitsByName.get(fileType.toUpperCase())
  if (bits === undefined || bits >= 16) return bits
  return parameterCount < smallModelParameters ? bits + smallModelBits : bits
}

/** The same model in another quantisation, as far as can be told without its file. */
export function requantised(shape: ModelShape, fileType: string): ModelShape {
  const bits = bitsPerWeight(fileType, shape.parameterCount)
  if (bits === undefined || !(shape.weightBytes > 0)) return shape
  const factor = (shape.parameterCount * bits) / 8 / shape.weightBytes
  const scaled = (bytes: number) => Math.ceil(bytes * factor)
  return {
    ...shape,
    weightBytes: scaled(shape.weightBytes),
    inputBytes: scaled(shape.inputBytes),
    outputBytes: scaled(shape.outputBytes),
    layerBytes: shape.layerBytes.map(scaled),
    ...(shape.layers && {
      layers: shape.layers.map(({ matrixBytes: _, ...layer }) => ({
        ...layer,
        bytes: scaled(layer.bytes),
        expertBytes: scaled(layer.expertBytes),
      })),
    }),
  }
}

/**
 * The finest of a model's variants that fits into `memoryBytes`. Those that are too coarse for the model's size are left
 * out, or come last with `anyQuality`; where none fits, first the cache is quantised, then the context cut, down to 4096
 * tokens. Pure.
 */
export function fitVariants(
  variants: readonly ModelVariant[],
  memoryBytes: number,
  wishes: VariantWishes,
): VariantChoice {
  const known = variants
    .flatMap((variant) => {
      const bits = bitsPerWeight(variant.fileType)
      return bits === undefined ? [] : [{ variant, bits }]
    })
    .toSorted((a, b) => b.bits - a.bits || a.variant.tag.localeCompare(b.variant.tag))
  const isGood = ({ variant, bits }: Known) => bits >= floorOf(variant)
  const ways = waysOf(wishes)
  // Of the good ones the finest that a way allows; of the coarse ones the finest that any way allows.
  const tries = ways.flatMap((way) => known.filter(isGood).map((one) => ({ one, way })))
  const coarse = known.filter((one) => !isGood(one)).flatMap((one) => ways.map((way) => ({ one, way })))
  for (const { one, way } of wishes.anyQuality ? [...tries, ...coarse] : tries) {
    const { variant } = one
    const neededBytes = need(variant, wishes, way)
    if (neededBytes > memoryBytes) continue
    const chosen = { variant, neededBytes, ...way, reason: reasonOf(variant, way) }
    return { chosen, rejected: known.flatMap((other) => (other === one ? [] : rejection(other, one.bits))) }
  }
  return { rejected: known.flatMap((one) => rejection(one, 0)) }

  function rejection({ variant, bits }: Known, chosenBits: number): VariantFit[] {
    const way = { contextLength: wishes.contextLength, kvCacheType: wishes.kvCacheType ?? 'f16' }
    const neededBytes = need(variant, wishes, way)
    const coarse = `too coarse for a model of ${billions(variant)} parameters`
    const large = `needs ${gibibytes(neededBytes)} of ${gibibytes(memoryBytes)}`
    const worse = bits < floorOf(variant) && !wishes.anyQuality ? coarse : 'a finer one fits'
    return [
      {
        variant,
        neededBytes,
        ...way,
        reason: bits <= chosenBits || neededBytes <= memoryBytes ? worse : large,
      },
    ]
  }
}

interface Known {
  variant: ModelVariant
  bits: number
}

interface Way {
  contextLength: number
  kvCacheType: string
}

/** What is given up, in this order: nothing, the cache's precision, context by halves. */
function waysOf({ contextLength, kvCacheType = 'f16', flashAttention, exactContext }: VariantWishes): Way[] {
  const smaller = kvCacheType === 'f16' && flashAttention !== 'off' ? 'q8_0' : kvCacheType
  const ways = [
    { contextLength, kvCacheType },
    { contextLength, kvCacheType: smaller },
  ]
  if (exactContext) return ways
  for (let cut = Math.floor(contextLength / 2); cut >= shortestContext; cut = Math.floor(cut / 2)) {
    ways.push({ contextLength: cut, kvCacheType: smaller })
  }
  return ways
}

/** A shape's own need; of a bare count of parameters a rough one, by models of that size with grouped heads. */
function need({ of, fileType, bytes }: ModelVariant, wishes: VariantWishes, way: Way): number {
  const { slots = 1 } = wishes
  if ('architecture' in of) {
    const shape = bytes === undefined ? of : { ...of, weightBytes: bytes }
    return estimateMemory(shape, { ...wishes, ...way, slots }).totalBytes
  }
  const { parameterCount } = of
  const bits = bitsPerWeight(fileType, parameterCount) ?? 16
  const cacheBits = way.kvCacheType === 'f16' ? 16 : 8.5
  const perToken = (131_072 * (parameterCount / 8e9) ** 0.45 * cacheBits) / 16
  const compute = 200 * 2 ** 20 * Math.max(1, parameterCount / 8e9) ** 0.5
  return Math.ceil((bytes ?? (parameterCount * bits) / 8) + slots * way.contextLength * perToken + compute)
}

function floorOf({ of }: ModelVariant): number {
  return floors.find(([most]) => of.parameterCount <= most)?.[1] ?? 0
}

function reasonOf({ fileType }: ModelVariant, { contextLength, kvCacheType }: Way): string {
  const cache = kvCacheType === 'f16' ? '' : ` and a ${kvCacheType} cache`
  return `${fileType} is the finest that fits with a context of ${contextLength} tokens${cache}`
}

const billions = ({ of }: ModelVariant): string => `${(of.parameterCount / 1e9).toFixed(1)} billion`
const gibibytes = (bytes: number): string => `${(bytes / 2 ** 30).toFixed(1)} GiB`
