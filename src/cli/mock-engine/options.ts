import { clusterOf, type MockEngineOptions } from '../../simulation/index.ts'

/** The command's flags as they are read. */
export interface MockEngineFlags {
  host?: string
  port?: number
  model?: string[]
  slots?: number
  prefill?: number
  decodeMs?: number
  decodePerRequestMs?: number
  kvTokens?: number
  block?: number
  chunk?: number
  loadMs?: number
  context?: number
  answerTokens?: number
  embeddingDimensions?: number
  speed?: number
  device?: string
  params?: number
  weightBits?: number
  kvBytes?: number
  slotSavePath?: string
}

/** The most slots that a card's figures are taken with, unless a flag says otherwise. */
const deviceSlots = 32
/** 4-bit quantisation with its scales, as most people run models. */
const usualWeightBits = 4.5

/** What the flags ask for; figures given by flags go before those of `--device`. Throws for what does not fit together. */
export function engineOptions(flags: Omit<MockEngineFlags, 'host' | 'port'>): MockEngineOptions {
  const device = deviceFigures(flags)
  return {
    models: flags.model,
    engine: {
      ...device?.engine,
      ...defined({
        slots: flags.slots,
        prefillTokensPerS: flags.prefill,
        decodeBaseMs: flags.decodeMs,
        decodePerRequestMs: flags.decodePerRequestMs,
        kvTokens: flags.kvTokens,
        blockTokens: flags.block,
        chunkTokens: flags.chunk,
        loadMs: flags.loadMs,
      }),
    },
    modelBytes: device?.modelBytes,
    contextTokens: flags.context,
    meanAnswerTokens: flags.answerTokens,
    embeddingDimensions: flags.embeddingDimensions,
    speed: flags.speed,
    slotSavePath: flags.slotSavePath,
  }
}

function deviceFigures({ device, params, slots, ...flags }: MockEngineFlags) {
  const { weightBits: bitsPerWeight = usualWeightBits, kvBytes } = flags
  if (device === undefined) {
    const stray = Object.entries({
      '--params': params,
      '--weight-bits': flags.weightBits,
      '--kv-bytes': kvBytes,
    })
    const [given] = stray.find(([, value]) => value !== undefined) ?? []
    if (given !== undefined) throw new Error(`${given} means nothing without --device`)
    return undefined
  }
  if (params === undefined) throw new Error('--device needs --params, the parameters of the model, as 8e9')
  const model = { params, bitsPerWeight, kvBytesPerToken: kvBytes ?? usualKvBytes(params) }
  const [instance] = clusterOf({ groups: [{ device, model, slots: slots ?? deviceSlots }] }).instances
  return instance
}

/** 128 KiB a token at 8 billion parameters (Llama 3: 32 layers of 8 key-value heads, 16 bits), with the square root of them. */
function usualKvBytes(params: number): number {
  return Math.round(128 * 1024 * Math.sqrt(params / 8e9))
}

function defined<T extends object>(given: T): Partial<{ [Key in keyof T]: NonNullable<T[Key]> }> {
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) as Partial<{
    [Key in keyof T]: NonNullable<T[Key]>
  }>
}
