/**
 * Turns trained weights and vocabulary into the model file: Q8_0 matrices, float32 norms, tokenizer and template.
 * Usage: node tools/model/export.ts --weights RUN_DIR --vocabulary DATA_DIR --out FILE.gguf [--type F16|Q8_0]
 */
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { z } from 'zod'
import { encodeF16, encodeF32, encodeQ8_0 } from '../../src/models/gguf/quantize.ts'
import { type GgufMetadata, type GgufTensor, gguf, writeGguf } from '../../src/models/gguf/write.ts'

const weightsIndex = z.object({
  shape: z.object({
    dim: z.number(),
    layers: z.number(),
    heads: z.number(),
    kv_heads: z.number(),
    ffn: z.number(),
    vocabulary: z.number(),
    context: z.number(),
    rope_base: z.number(),
    epsilon: z.number(),
  }),
  tensors: z.array(z.object({ name: z.string(), shape: z.array(z.number()) })),
})
type Shape = z.infer<typeof weightsIndex>['shape']

const vocabularyFile = z.object({
  tokens: z.array(z.string()),
  merges: z.array(z.string()),
  special: z.array(z.string()),
})
type Vocabulary = z.infer<typeof vocabularyFile>

const encoders = { F32: encodeF32, F16: encodeF16, Q8_0: encodeQ8_0 }
const fileTypes = { F16: 1, Q8_0: 7 }
/** Special tokens that the model's reader sees as text; the others steer and stay hidden. */
const visibleTokens = ['<think>', '</think>', '<tool_call>', '</tool_call>']

function metadataOf(
  shape: Shape,
  vocabulary: Vocabulary,
  template: string,
  parameters: number,
  fileType: number,
): GgufMetadata {
  const id = (token: string): number => {
    const index = vocabulary.tokens.indexOf(token)
    if (index < 0) throw new Error(`the vocabulary has no token ${token}`)
    return index
  }
  const tokenType = (token: string): number => {
    if (!vocabulary.special.includes(token)) return 1
    return visibleTokens.includes(token) ? 4 : 3
  }
  return {
    'general.architecture': gguf.string('llama'),
    'general.type': gguf.string('model'),
    'general.name': gguf.string('Drover Tiny'),
    'general.basename': gguf.string('drover-tiny'),
    'general.size_label': gguf.string(`${(parameters / 1e6).toFixed(1)}M`),
    'general.license': gguf.string('mit'),
    'general.file_type': gguf.uint32(fileType),
    'general.parameter_count': { type: 'uint64', value: parameters },
    'general.quantization_version': gguf.uint32(2),
    'llama.block_count': gguf.uint32(shape.layers),
    'llama.context_length': gguf.uint32(shape.context),
    'llama.embedding_length': gguf.uint32(shape.dim),
    'llama.feed_forward_length': gguf.uint32(shape.ffn),
    'llama.attention.head_count': gguf.uint32(shape.heads),
    'llama.attention.head_count_kv': gguf.uint32(shape.kv_heads),
    'llama.attention.layer_norm_rms_epsilon': gguf.float32(shape.epsilon),
    'llama.rope.dimension_count': gguf.uint32(shape.dim / shape.heads),
    'llama.rope.freq_base': gguf.float32(shape.rope_base),
    'llama.vocab_size': gguf.uint32(shape.vocabulary),
    'tokenizer.ggml.model': gguf.string('gpt2'),
    'tokenizer.ggml.pre': gguf.string('qwen2'),
    'tokenizer.ggml.tokens': gguf.strings(vocabulary.tokens),
    'tokenizer.ggml.token_type': gguf.int32s(vocabulary.tokens.map(tokenType)),
    'tokenizer.ggml.merges': gguf.strings(vocabulary.merges),
    'tokenizer.ggml.bos_token_id': gguf.uint32(id('<|endoftext|>')),
    'tokenizer.ggml.eos_token_id': gguf.uint32(id('<|im_end|>')),
    'tokenizer.ggml.eot_token_id': gguf.uint32(id('<|im_end|>')),
    'tokenizer.ggml.padding_token_id': gguf.uint32(id('<|endoftext|>')),
    'tokenizer.ggml.fim_pre_token_id': gguf.uint32(id('<|fim_prefix|>')),
    'tokenizer.ggml.fim_suf_token_id': gguf.uint32(id('<|fim_suffix|>')),
    'tokenizer.ggml.fim_mid_token_id': gguf.uint32(id('<|fim_middle|>')),
    'tokenizer.ggml.add_bos_token': gguf.bool(false),
    'tokenizer.ggml.add_eos_token': gguf.bool(false),
    'tokenizer.ggml.add_space_prefix': gguf.bool(false),
    'tokenizer.chat_template': gguf.string(template),
  }
}

async function readFloats(path: string, at: number, count: number): Promise<Float32Array> {
  const file = await open(path)
  try {
    const floats = new Float32Array(count)
    const { bytesRead } = await file.read(new Uint8Array(floats.buffer), 0, count * 4, at * 4)
    if (bytesRead !== count * 4)
      throw new Error(`${path} ends early: ${bytesRead} of ${count * 4} bytes at ${at * 4}`)
    return floats
  } finally {
    await file.close()
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      weights: { type: 'string' },
      vocabulary: { type: 'string' },
      out: { type: 'string' },
      type: { type: 'string', default: 'Q8_0' },
    },
  })
  const { weights, vocabulary: vocabularyFolder, out, type } = values
  if (!weights || !vocabularyFolder || !out)
    throw new Error('say where: --weights DIR --vocabulary DIR --out FILE')
  if (type !== 'F16' && type !== 'Q8_0') throw new Error(`--type is F16 or Q8_0, not ${type}`)
  const index = weightsIndex.parse(JSON.parse(await readFile(join(weights, 'weights.json'), 'utf8')))
  const vocabulary = vocabularyFile.parse(
    JSON.parse(await readFile(join(vocabularyFolder, 'vocabulary.json'), 'utf8')),
  )
  const template = await readFile(new URL('template.jinja', import.meta.url), 'utf8')

  let parameters = 0
  const tensors = index.tensors.map(({ name, shape }): GgufTensor => {
    const at = parameters
    const count = shape.reduce((product, size) => product * size, 1)
    parameters += count
    const stored = shape.length === 1 ? 'F32' : type
    return {
      name,
      type: stored,
      shape: shape.toReversed(),
      async *data() {
        yield encoders[stored](await readFloats(join(weights, 'weights.bin'), at, count))
      },
    }
  })
  const metadata = metadataOf(index.shape, vocabulary, template.trimEnd(), parameters, fileTypes[type])
  const bytes = await writeGguf(out, { metadata, tensors })
  process.stdout.write(`${out}: ${bytes} bytes, ${parameters} parameters, ${type}\n`)
}

await main()
