import { open, stat } from 'node:fs/promises'
import type { gguf as parseGguf } from '@huggingface/gguf'
import { DroverError } from '../../inference/index.ts'
import type { ModelFile } from '../contract.ts'
import type { Metadata, TensorFacts } from './facts.ts'
import { fileTypeName } from './file-types.ts'
import { metadataOverrides } from './overrides.ts'
import { readShape } from './shape.ts'
import { tensorBytes, tensorTypeName } from './tensor-types.ts'

/** Metadata arrays up to this length are kept, as Ollama shows them; longer ones (vocabularies) become null. */
const longestKeptArray = 1024

/** Fewest bytes that a metadata pair and a tensor's description take in any version of the format. */
const leastPairBytes = 9
const leastTensorBytes = 20

/** Far above any real model (the largest have some ten thousand tensors): more would only keep the parser busy. */
const mostPairs = 100_000
const mostTensors = 200_000

export interface ReadOptions {
  /** Keeps arrays of any length. */
  wholeArrays: boolean
}

type ParsedHead = Awaited<ReturnType<typeof parseGguf>>

/**
 * Reads the head of a GGUF file in this thread: what it says of itself, and the shape that follows. The tensors themselves are
 * not read, but the file must be long enough for them. Arrays of more than 1024 entries are null in `metadata`
 * unless `wholeArrays`. Throws `model_corrupt`, saying what is wrong with which file.
 */
export async function parseModelFile(path: string, { wholeArrays }: ReadOptions): Promise<ModelFile> {
  const fileBytes = await checkPreamble(path)
  const head = await parseHead(path)
  try {
    const metadata = plainMetadata(head)
    const tensors = readTensors(head, fileBytes)
    return describeFile(metadata, tensors, wholeArrays)
  } catch (error) {
    throw corrupt(path, messageOf(error), error)
  }
}

function describeFile(metadata: Metadata, tensors: TensorFacts[], wholeArrays: boolean): ModelFile {
  const shape = readShape(metadata, tensors)
  const chatTemplate = metadata['tokenizer.chat_template']
  const bosToken = tokenText(metadata, 'bos')
  const eosToken = tokenText(metadata, 'eos')
  return {
    metadata: wholeArrays ? metadata : withoutLongArrays(metadata),
    tensors: tensors.map(({ name, type, shape }) => ({ name, type, shape })),
    shape,
    fileType: fileTypeName(metadata, tensors),
    ...(typeof chatTemplate === 'string' && { chatTemplate }),
    ...(bosToken !== undefined && { bosToken }),
    ...(eosToken !== undefined && { eosToken }),
    addsBos: addsBos(metadata),
    pooling: metadata[`${shape.architecture}.pooling_type`] !== undefined,
    overrides: metadataOverrides(metadata),
  }
}

/**
 * Checks magic, version and counts against the file's size, and gives the size. The parser reads zeros behind the
 * end of a file, so that counts which no file of this size can hold would make it build millions of empty entries.
 */
async function checkPreamble(path: string): Promise<number> {
  const { size, preamble } = await readPreamble(path).catch((error) => {
    throw corrupt(path, `it cannot be read (${messageOf(error)})`, error)
  })
  const problem = preambleProblem(preamble, size)
  if (problem) throw corrupt(path, problem)
  return size
}

async function readPreamble(path: string): Promise<{ size: number; preamble: Buffer }> {
  // Asked before opening: to open a pipe would wait for its other end.
  if (!(await stat(path)).isFile()) throw new Error('it is not a file')
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    const { bytesRead, buffer } = await file.read(Buffer.alloc(24), 0, 24, 0)
    return { size, preamble: buffer.subarray(0, bytesRead) }
  } finally {
    await file.close()
  }
}

function preambleProblem(preamble: Buffer, fileBytes: number): string | undefined {
  if (fileBytes === 0) return 'it is empty'
  if (preamble.toString('latin1', 0, 4) !== 'GGUF') return 'it is not a GGUF file'
  if (preamble.length < 24) return `it ends after ${fileBytes} bytes, within its head`
  const version = preamble.readUInt32LE(4)
  if (version !== 0 && (version & 0xffff) === 0)
    return 'it is in big-endian byte order, which engines here cannot run'
  if (version < 1 || version > 3) return `it has version ${version} of the GGUF format; known are 1 to 3`
  const readCount = (place: 0 | 1) =>
    version === 1 ? preamble.readUInt32LE(8 + 4 * place) : Number(preamble.readBigUInt64LE(8 + 8 * place))
  const tensors = readCount(0)
  const pairs = readCount(1)
  if (tensors * leastTensorBytes + pairs * leastPairBytes > fileBytes) {
    return `it claims ${tensors} tensors and ${pairs} metadata entries but has only ${fileBytes} bytes`
  }
  if (tensors > mostTensors || pairs > mostPairs) {
    return `it claims ${tensors} tensors and ${pairs} metadata entries, more than any model has`
  }
  return undefined
}

async function parseHead(path: string): Promise<ParsedHead> {
  // Loaded when first needed: it takes longer to load than all of the server's start may take.
  const { gguf } = await import('@huggingface/gguf')
  try {
    return await gguf(path, { allowLocalFile: true })
  } catch (error) {
    throw corrupt(path, `its head cannot be read (${messageOf(error)})`, error)
  }
}

/** The metadata as plain numbers, texts and arrays, without the parser's additions. */
function plainMetadata({ metadata }: ParsedHead): Metadata {
  const all: [string, unknown][] = Object.entries(metadata)
  const entries = all
    .filter(([key]) => key !== 'version' && key !== 'tensor_count' && key !== 'kv_count')
    .map(([key, value]) => [key, plain(value)])
  return Object.fromEntries(entries)
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value)
  if (Array.isArray(value) && (typeof value[0] === 'bigint' || Array.isArray(value[0])))
    return value.map(plain)
  return value
}

function readTensors(head: ParsedHead, fileBytes: number): TensorFacts[] {
  const headBytes = head.tensorInfoByteRange[1]
  if (headBytes > fileBytes) throw new Error(`it ends after ${fileBytes} bytes, within its head`)
  const dataStart = Number(head.tensorDataOffset)
  const starts = head.tensorInfos.map(({ offset }) => dataStart + Number(offset))
  const nextStart = followingStarts(starts, fileBytes)
  const tensors = head.tensorInfos.map(({ name, dtype, shape: lengths }, index): TensorFacts => {
    const type = tensorTypeName(dtype)
    const shape = lengths.map(Number)
    const weights = shape.reduce((product, length) => product * length, 1)
    const start = starts[index] ?? 0
    // A type that is newer than the table takes the room up to the next tensor.
    const bytes = tensorBytes(type, weights) ?? Math.max(0, (nextStart.get(start) ?? start) - start)
    return { name, type, shape, bytes }
  })
  const neededBytes = tensors.reduce(
    (most, { bytes }, index) => Math.max(most, (starts[index] ?? 0) + bytes),
    0,
  )
  if (neededBytes > fileBytes) {
    throw new Error(
      `it has ${fileBytes} bytes but its tensors need ${neededBytes}: it was cut off on the way`,
    )
  }
  return tensors
}

/** Where the data after each start begins; the file's end for the last. */
function followingStarts(starts: readonly number[], fileBytes: number): Map<number, number> {
  const sorted = [...new Set(starts)].sort((a, b) => a - b)
  return new Map(sorted.map((start, index) => [start, sorted[index + 1] ?? fileBytes]))
}

function withoutLongArrays(metadata: Metadata): Metadata {
  const entries = Object.entries(metadata).map(([key, value]) => {
    return [key, Array.isArray(value) && value.length > longestKeptArray ? null : value]
  })
  return Object.fromEntries(entries)
}

function tokenText(metadata: Metadata, role: 'bos' | 'eos'): string | undefined {
  const tokens = metadata['tokenizer.ggml.tokens']
  const id = metadata[`tokenizer.ggml.${role}_token_id`]
  if (!Array.isArray(tokens) || typeof id !== 'number') return undefined
  const token: unknown = tokens[id]
  return typeof token === 'string' ? token : undefined
}

/** Whether llama.cpp puts BOS first: as the file says, else by the kind of its vocabulary. */
function addsBos(metadata: Metadata): boolean {
  const said = metadata['tokenizer.ggml.add_bos_token']
  if (typeof said === 'boolean') return said
  const model = metadata['tokenizer.ggml.model']
  if (model === 'llama' || model === 'bert') return true
  return metadata['tokenizer.ggml.pre'] === 'llama-bpe' || metadata['tokenizer.ggml.pre'] === 'llama3'
}

/** The refusal of a model file. */
export function corrupt(path: string, problem: string, cause?: unknown): DroverError {
  const message = `model file ${path} cannot be used: ${problem}`
  return new DroverError('model_corrupt', message, cause === undefined ? undefined : { cause })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
