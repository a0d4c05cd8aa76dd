/**
 * The model that devices are measured with: Llama's architecture, Q8_0, random weights, bytes for a vocabulary. It has
 * few and wide layers, so that a token costs the reading of its weights and little else.
 */
import { statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { type GgufMetadata, type GgufTensor, gguf, writeGguf } from '../../models/index.ts'

/** A benchmark model on disk. */
export interface BenchmarkModel {
  path: string
  bytes: number
  /** Weights that are read for each token of a single answer: all but the embeddings, of which it is one row. */
  bytesReadPerToken: number
}

/** How long the prompt and answer of one request may be together. */
export const benchmarkContextLength = 2304

/** Llama's special tokens come before the bytes. */
const specials = ['<unk>', '<s>', '</s>']
const vocabularySize = specials.length + 256
const [firstPrintable, lastPrintable] = [0x20, 0x7e]

const headDim = 128
const widths = [4096, 2048, 1024, 512, 256]
/** Left to others on the disk. */
const spareDiskBytes = 64 * 2 ** 20

interface Sizes {
  layers: number
  dim: number
  kvDim: number
  ffn: number
}

/** Blocks of 32 weights: a float16 scale and 32 int8. Source: `block_q8_0` of ggml-common.h. */
const blockBytes = 34
const q8Bytes = (weights: number) => (weights / 32) * blockBytes

/** The widest layers of which at least two make `bytes`; a quarter as many key and value heads, as Llama 3 has them. */
export function sizesFor(bytes: number): Sizes {
  const dim = widths.find((width) => bytes >= 2 * layerBytes(proportions(width))) ?? Math.min(...widths)
  const layer = proportions(dim)
  return { ...layer, layers: Math.max(1, Math.round(bytes / layerBytes(layer))) }
}

function proportions(dim: number): Omit<Sizes, 'layers'> {
  return { dim, kvDim: Math.max(headDim, dim / 4), ffn: dim * 3.5 }
}

function layerBytes({ dim, kvDim, ffn }: Omit<Sizes, 'layers'>): number {
  return q8Bytes(2 * dim * dim + 2 * dim * kvDim + 3 * dim * ffn)
}

/**
 * Writes a model of about `bytes` (from a megabyte on) into `folder`. Throws when the disk has no room for it, naming
 * folder and sizes, and the signal's reason; a part of the file may then be there.
 */
export async function writeBenchmarkModel(
  folder: string,
  bytes: number,
  signal: AbortSignal,
): Promise<BenchmarkModel> {
  const sizes = sizesFor(bytes)
  const read = sizes.layers * layerBytes(sizes) + q8Bytes(sizes.dim * vocabularySize)
  await checkRoom(folder, read)
  const path = join(folder, `benchmark-${bytes}.gguf`)
  const fileBytes = await writeGguf(path, { metadata: metadataOf(sizes), tensors: tensorsOf(sizes, signal) })
  return { path, bytes: fileBytes, bytesReadPerToken: read }
}

async function checkRoom(folder: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  if (free >= bytes + spareDiskBytes) return
  const mb = (count: number) => `${Math.ceil(count / 1e6)} MB`
  throw new Error(
    `the benchmark's model takes ${mb(bytes)}, and ${folder} has ${mb(free)} free: make room, or name another ` +
      'folder in TMPDIR',
  )
}

function metadataOf({ layers, dim, kvDim, ffn }: Sizes): GgufMetadata {
  const bytes = Array.from(
    { length: 256 },
    (_, byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`,
  )
  return {
    'general.architecture': gguf.string('llama'),
    'general.name': gguf.string('Drover benchmark'),
    // Q8_0, of llama.cpp's `llama_ftype`.
    'general.file_type': gguf.uint32(7),
    'general.quantization_version': gguf.uint32(2),
    'llama.block_count': gguf.uint32(layers),
    'llama.context_length': gguf.uint32(benchmarkContextLength),
    'llama.embedding_length': gguf.uint32(dim),
    'llama.feed_forward_length': gguf.uint32(ffn),
    'llama.attention.head_count': gguf.uint32(dim / headDim),
    'llama.attention.head_count_kv': gguf.uint32(kvDim / headDim),
    'llama.attention.layer_norm_rms_epsilon': gguf.float32(1e-5),
    'llama.rope.dimension_count': gguf.uint32(headDim),
    'llama.vocab_size': gguf.uint32(vocabularySize),
    'tokenizer.ggml.model': gguf.string('llama'),
    'tokenizer.ggml.tokens': gguf.strings([...specials, ...bytes]),
    'tokenizer.ggml.scores': gguf.float32s(new Array<number>(vocabularySize).fill(0)),
    // 2 unknown, 3 control, 6 byte, of llama.cpp's `llama_token_type`.
    'tokenizer.ggml.token_type': gguf.int32s([2, 3, 3, ...bytes.map(() => 6)]),
    'tokenizer.ggml.unknown_token_id': gguf.uint32(0),
    'tokenizer.ggml.bos_token_id': gguf.uint32(1),
    'tokenizer.ggml.eos_token_id': gguf.uint32(2),
    'tokenizer.ggml.add_bos_token': gguf.bool(false),
  }
}

function tensorsOf({ layers, dim, kvDim, ffn }: Sizes, signal: AbortSignal): GgufTensor[] {
  const pool = randomBlocks(dim)
  let next = 0
  const matrix = (name: string, columns: number, rows: number): GgufTensor => {
    // Each begins elsewhere in the pool, so that no two are the same.
    const start = ((next++ * 7919) % (pool.length / blockBytes)) * blockBytes
    const bytes = q8Bytes(columns * rows)
    return {
      name: `${name}.weight`,
      type: 'Q8_0',
      shape: [columns, rows],
      data: () => cut(pool, start, bytes, signal),
    }
  }
  const norm = (name: string): GgufTensor => ({
    name: `${name}.weight`,
    type: 'F32',
    shape: [dim],
    data: () => [new Uint8Array(new Float32Array(dim).fill(1).buffer)],
  })
  const layer = (at: string) => [
    norm(`${at}.attn_norm`),
    matrix(`${at}.attn_q`, dim, dim),
    matrix(`${at}.attn_k`, dim, kvDim),
    matrix(`${at}.attn_v`, dim, kvDim),
    matrix(`${at}.attn_output`, dim, dim),
    norm(`${at}.ffn_norm`),
    matrix(`${at}.ffn_gate`, dim, ffn),
    matrix(`${at}.ffn_up`, dim, ffn),
    matrix(`${at}.ffn_down`, ffn, dim),
  ]
  return [
    matrix('token_embd', dim, vocabularySize),
    ...Array.from({ length: layers }, (_, index) => layer(`blk.${index}`)).flat(),
    norm('output_norm'),
    onlyPrintable(matrix('output', dim, vocabularySize), dim),
  ]
}

/** A megabyte of blocks, which is repeated: what the weights are is all one, as long as they differ. */
function randomBlocks(dim: number): Uint8Array {
  const pool = new Uint8Array(Math.floor(2 ** 20 / blockBytes) * blockBytes)
  let state = 0x9e3779b9
  for (let at = 0; at < pool.length; at++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    pool[at] = state
  }
  // Evenly spread int8 deviate by 74; times this power of two they deviate by about 1 / √dim, which keeps what goes
  // through a layer at its size. A power of two is only an exponent in float16, with a bias of 15.
  const exponent = Math.round(Math.log2(dim ** -0.5 / 74))
  const scales = new DataView(pool.buffer)
  for (let at = 0; at < pool.length; at += blockBytes) scales.setUint16(at, (exponent + 15) << 10, true)
  return pool
}

function* cut(pool: Uint8Array, start: number, bytes: number, signal: AbortSignal): Generator<Uint8Array> {
  let at = start
  for (let left = bytes; left > 0; at = 0) {
    signal.throwIfAborted()
    const piece = pool.subarray(at, at + left)
    left -= piece.length
    yield piece
  }
}

/**
 * The output matrix with zeros for every token but the printable characters of ASCII: their logits are 0 among some
 * that are greater, so an answer never ends by itself, and no engine waits for the rest of a character.
 */
function onlyPrintable(output: GgufTensor, dim: number): GgufTensor {
  const rowBytes = q8Bytes(dim)
  return {
    ...output,
    async *data() {
      const pieces: Uint8Array[] = []
      for await (const piece of output.data()) pieces.push(piece)
      const rows = Buffer.concat(pieces)
      rows.fill(0, 0, tokenOf(firstPrintable) * rowBytes)
      rows.fill(0, tokenOf(lastPrintable + 1) * rowBytes)
      yield rows
    },
  }
}

const tokenOf = (byte: number) => specials.length + byte

/** `length` tokens of the model's vocabulary; another `seed` gives others from the first on. */
export function benchmarkPrompt(length: number, seed: number): number[] {
  const count = lastPrintable - firstPrintable + 1
  let state = seed
  return Array.from({ length }, (_, index) => {
    // A linear congruential generator; its high bits are the better ones. The first token is the seed's own.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return tokenOf(firstPrintable + (index === 0 ? seed % count : (state >>> 16) % count))
  })
}
