/**
 * Writes GGUF files of any shape with random weights, for load, memory and planning tests.
 * Usage: node tools/synthetic.ts --out FILE.gguf [--arch llama] [--layers 4] [--dim 128] ... [--sparse]
 */
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { encodeF32 } from '../src/models/gguf/quantize.ts'
import {
  encodedBytes,
  type GgufContents,
  type GgufMetadata,
  type GgufTensor,
  gguf,
  type WritableType,
  writeGguf,
} from '../src/models/gguf/write.ts'
import { type ArchitectureName, architectures } from './synthetic/architectures.ts'
import { randomTensor } from './synthetic/random-weights.ts'
import type { Sizes, TensorPlan } from './synthetic/tensor-plans.ts'
import { syntheticVocabulary } from './synthetic/vocabulary.ts'

/** What a synthetic model looks like; everything left out has a small default. */
export interface SyntheticShape {
  readonly architecture?: ArchitectureName
  readonly layers?: number
  /** Width of the hidden states. */
  readonly dim?: number
  readonly heads?: number
  /** Key and value heads; as many as `heads` when left out. */
  readonly kvHeads?: number
  /** Width of one head; `dim / heads` when left out. */
  readonly headDim?: number
  /** Width of the feed-forward layer (of each expert); about 8/3 of `dim`, a multiple of 256, when left out. */
  readonly ffn?: number
  /** Tokens of the vocabulary, at least 259. */
  readonly vocab?: number
  /** Context length the file declares. */
  readonly context?: number
  /** Type of the matrices; norms and biases are F32. */
  readonly type?: WritableType
  /** Experts of each layer; none when left out. Only some architectures can have them. */
  readonly experts?: number
  /** Experts that a token uses; 2 when left out. */
  readonly usedExperts?: number
  /** Tokens that a sliding layer sees (cohere2, gemma2, gemma3, gpt-oss, olmo2); half of the context when left out. */
  readonly window?: number
  /** Whether a decoder declares mean pooling, which makes engines treat it as an embedding model. */
  readonly embeddingModel?: boolean
  /** The model never chooses the end of its answer: what it says is as long as its reader allows. */
  readonly endless?: boolean
  readonly name?: string
  readonly seed?: number
}

const fileTypes: Record<WritableType, number> = {
  F32: 0,
  F16: 1,
  Q4_0: 2,
  Q8_0: 7,
  Q4_K: 15,
  Q6_K: 18,
  BF16: 32,
}

const chatTemplate =
  "{%- for message in messages %}{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}{%- endfor %}" +
  "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"

const withExperts = new Set<ArchitectureName>([
  'llama',
  'qwen3',
  'deepseek2',
  'gpt-oss',
  'granite',
  'qwen2moe',
])

function sizesOf(shape: SyntheticShape): Sizes {
  const dim = shape.dim ?? 128
  const heads = shape.heads ?? 4
  const experts = shape.experts ?? 0
  const architecture = shape.architecture ?? 'llama'
  if (experts > 0 && !withExperts.has(architecture)) {
    throw new RangeError(
      `${architecture} has no experts here; use ${[...withExperts].join(', ')}, or leave them out`,
    )
  }
  if (shape.headDim === undefined && dim % heads !== 0) {
    throw new RangeError(`dim ${dim} is no multiple of ${heads} heads; change one or give headDim`)
  }
  const context = shape.context ?? 2048
  return {
    dim,
    layers: shape.layers ?? 4,
    heads,
    kvHeads: shape.kvHeads ?? heads,
    headDim: shape.headDim ?? dim / heads,
    ffn: shape.ffn ?? Math.ceil((dim * 8) / 3 / 256) * 256,
    vocab: shape.vocab ?? 1024,
    context,
    window: shape.window ?? Math.max(64, Math.floor(context / 2)),
    experts,
    usedExperts: shape.usedExperts ?? 2,
  }
}

function metadataOf(shape: SyntheticShape, sizes: Sizes, parameters: number): GgufMetadata {
  const architecture = architectures[shape.architecture ?? 'llama']
  const prefix = architecture.name(sizes)
  const vocabulary = syntheticVocabulary(sizes.vocab)
  const specific: GgufMetadata = {
    block_count: gguf.uint32(sizes.layers),
    context_length: gguf.uint32(sizes.context),
    embedding_length: gguf.uint32(sizes.dim),
    feed_forward_length: gguf.uint32(sizes.ffn),
    'attention.head_count': gguf.uint32(sizes.heads),
    'attention.head_count_kv': gguf.uint32(sizes.kvHeads),
    vocab_size: gguf.uint32(sizes.vocab),
    ...(shape.embeddingModel ? { pooling_type: gguf.uint32(1) } : {}),
    ...architecture.metadata(sizes),
  }
  return {
    'general.architecture': gguf.string(prefix),
    'general.type': gguf.string('model'),
    'general.name': gguf.string(shape.name ?? `Synthetic ${prefix}`),
    'general.file_type': gguf.uint32(fileTypes[shape.type ?? 'Q8_0']),
    'general.parameter_count': { type: 'uint64', value: parameters },
    'general.quantization_version': gguf.uint32(2),
    ...Object.fromEntries(Object.entries(specific).map(([key, value]) => [`${prefix}.${key}`, value])),
    'tokenizer.ggml.model': gguf.string('gpt2'),
    'tokenizer.ggml.pre': gguf.string('qwen2'),
    'tokenizer.ggml.tokens': gguf.strings(vocabulary.tokens),
    'tokenizer.ggml.token_type': gguf.int32s(vocabulary.types),
    'tokenizer.ggml.merges': gguf.strings(vocabulary.merges),
    'tokenizer.ggml.token_type_count': gguf.uint32(2),
    'tokenizer.ggml.bos_token_id': gguf.uint32(vocabulary.endOfText),
    'tokenizer.ggml.eos_token_id': gguf.uint32(vocabulary.endOfTurn),
    'tokenizer.ggml.padding_token_id': gguf.uint32(vocabulary.endOfText),
    'tokenizer.ggml.add_bos_token': gguf.bool(false),
    'tokenizer.chat_template': gguf.string(chatTemplate),
  }
}

function tensorOf(plan: TensorPlan, type: WritableType, seed: number, stream: number): GgufTensor {
  const { name, shape, fill, deviation, exact } = plan
  if (fill === 'weights') {
    const stored = exact ? 'F32' : type
    return { name, type: stored, shape, data: () => randomTensor(stored, shape, deviation, seed, stream) }
  }
  const value = new Float32Array(shape[0] ?? 0).fill(fill === 'ones' ? 1 : 0)
  return { name, type: 'F32', shape, data: () => [encodeF32(value)] }
}

/**
 * The output matrix with zeros for the tokens that end an answer: their logits are 0 among as many positive as
 * negative ones, so they are never among the likeliest.
 */
function withoutEnd(tensor: GgufTensor, { dim, vocab }: Sizes): GgufTensor {
  if (tensor.name !== 'output.weight') return tensor
  const { endOfText, endOfTurn } = syntheticVocabulary(vocab)
  const rowBytes = encodedBytes(tensor.type, [dim])
  return {
    ...tensor,
    async *data() {
      let start = 0
      for await (const chunk of tensor.data()) {
        for (const token of [endOfText, endOfTurn]) {
          const from = Math.max(0, token * rowBytes - start)
          const to = Math.min(chunk.length, (token + 1) * rowBytes - start)
          if (from < to) chunk.fill(0, from, to)
        }
        start += chunk.length
        yield chunk
      }
    },
  }
}

/** Everything a synthetic file holds; its weights are made only when they are read. Throws RangeError on an impossible shape. */
export function syntheticContents(shape: SyntheticShape): GgufContents {
  const sizes = sizesOf(shape)
  const plans = architectures[shape.architecture ?? 'llama'].tensors(sizes)
  const tensors = plans.map((plan, index) => tensorOf(plan, shape.type ?? 'Q8_0', shape.seed ?? 1, index))
  for (const tensor of tensors) encodedBytes(tensor.type, tensor.shape)
  const spoken = shape.endless ? tensors.map((tensor) => withoutEnd(tensor, sizes)) : tensors
  const parameters = plans.reduce(
    (sum, plan) => sum + plan.shape.reduce((product, size) => product * size, 1),
    0,
  )
  return { metadata: metadataOf(shape, sizes, parameters), tensors: spoken }
}

/**
 * Writes a synthetic GGUF file; the same shape and seed give the same bytes. Memory stays at a few megabytes however
 * large the file. With `sparse`, only the header is written and the file stretched to its length: weights are zero and
 * take no disk. Returns the file's length in bytes. Throws RangeError on an impossible shape.
 */
export function writeSyntheticGguf(
  path: string,
  shape: SyntheticShape,
  options: { sparse?: boolean } = {},
): Promise<number> {
  return writeGguf(path, syntheticContents(shape), options)
}

const count = { type: 'string' } as const
const cliOptions = {
  arch: { type: 'string', default: 'llama' },
  layers: count,
  dim: count,
  heads: count,
  'kv-heads': count,
  'head-dim': count,
  ffn: count,
  vocab: count,
  context: count,
  experts: count,
  'used-experts': count,
  window: count,
  seed: count,
  type: { type: 'string', default: 'Q8_0' },
  name: { type: 'string' },
  'embedding-model': { type: 'boolean', default: false },
  endless: { type: 'boolean', default: false },
  sparse: { type: 'boolean', default: false },
  out: { type: 'string' },
} as const

const isArchitecture = (name: string): name is ArchitectureName => name in architectures
const isType = (name: string): name is WritableType => name in fileTypes

function shapeFromArguments(
  values: ReturnType<typeof parseArgs<{ options: typeof cliOptions }>>['values'],
): SyntheticShape {
  const { arch, type, name } = values
  if (!isArchitecture(arch))
    throw new Error(`--arch is one of ${Object.keys(architectures).join(', ')}, not ${arch}`)
  if (!isType(type)) throw new Error(`--type is one of ${Object.keys(fileTypes).join(', ')}, not ${type}`)
  const numbers = {
    layers: values.layers,
    dim: values.dim,
    heads: values.heads,
    kvHeads: values['kv-heads'],
    headDim: values['head-dim'],
    ffn: values.ffn,
    vocab: values.vocab,
    context: values.context,
    experts: values.experts,
    usedExperts: values['used-experts'],
    window: values.window,
    seed: values.seed,
  }
  const given = Object.entries(numbers).filter(([, text]) => text !== undefined)
  for (const [key, text] of given) {
    if (!Number.isInteger(Number(text))) throw new Error(`${key} is a whole number, not ${text}`)
  }
  return {
    architecture: arch,
    type,
    ...(name === undefined ? {} : { name }),
    embeddingModel: values['embedding-model'],
    endless: values.endless,
    ...Object.fromEntries(given.map(([key, text]) => [key, Number(text)])),
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: cliOptions })
  if (!values.out) throw new Error('say where the file goes: --out FILE.gguf')
  const bytes = await writeSyntheticGguf(values.out, shapeFromArguments(values), { sparse: values.sparse })
  process.stdout.write(`${values.out}: ${bytes} bytes\n`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
