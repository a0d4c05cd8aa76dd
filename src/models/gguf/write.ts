import { type FileHandle, open } from 'node:fs/promises'
import { tensorBytes } from './tensor-types.ts'

/** Numbers of GGUF's metadata value types. Source: the GGUF specification, version 3 (ggml, docs/gguf.md). */
const valueTypes = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const

/** Tensor types that Drover writes: ggml's number of each, and what a row's length must be a multiple of. */
const tensorTypes = {
  F32: { number: 0, rowMultiple: 1 },
  F16: { number: 1, rowMultiple: 1 },
  Q4_0: { number: 2, rowMultiple: 32 },
  Q8_0: { number: 8, rowMultiple: 32 },
  Q4_K: { number: 12, rowMultiple: 256 },
  Q6_K: { number: 14, rowMultiple: 256 },
  BF16: { number: 30, rowMultiple: 1 },
} as const

/** The name of a tensor type that can be written, as ggml spells it. */
export type WritableType = keyof typeof tensorTypes

type NumberType = Exclude<keyof typeof valueTypes, 'bool' | 'string' | 'array'>

/** A metadata value with its type; 64-bit integers are given as numbers up to 2^53. */
export type GgufValue =
  | { readonly type: NumberType; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly items: NumberType; readonly value: readonly number[] }
  | { readonly type: 'array'; readonly items: 'bool'; readonly value: readonly boolean[] }
  | { readonly type: 'array'; readonly items: 'string'; readonly value: readonly string[] }

/** Metadata in the order it is written. */
export type GgufMetadata = Readonly<Record<string, GgufValue>>

/** A tensor to write: `shape` in ggml's order (row length first), `data` its encoded bytes in any cut. */
export interface GgufTensor {
  readonly name: string
  readonly type: WritableType
  readonly shape: readonly number[]
  data(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>
}

/** What a GGUF file holds. */
export interface GgufContents {
  readonly metadata: GgufMetadata
  readonly tensors: readonly GgufTensor[]
}

/** Shorthands for metadata values: `gguf.uint32(4)`, `gguf.strings(['a'])`. */
export const gguf = {
  uint32: (value: number): GgufValue => ({ type: 'uint32', value }),
  float32: (value: number): GgufValue => ({ type: 'float32', value }),
  bool: (value: boolean): GgufValue => ({ type: 'bool', value }),
  string: (value: string): GgufValue => ({ type: 'string', value }),
  strings: (value: readonly string[]): GgufValue => ({ type: 'array', items: 'string', value }),
  int32s: (value: readonly number[]): GgufValue => ({ type: 'array', items: 'int32', value }),
  float32s: (value: readonly number[]): GgufValue => ({ type: 'array', items: 'float32', value }),
}

const alignment = 32
const flushBytes = 1 << 20

const numberBytes: Record<NumberType, number> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
}

const numberSetters: Record<NumberType, (view: DataView, at: number, value: number) => void> = {
  uint8: (view, at, value) => view.setUint8(at, value),
  int8: (view, at, value) => view.setInt8(at, value),
  uint16: (view, at, value) => view.setUint16(at, value, true),
  int16: (view, at, value) => view.setInt16(at, value, true),
  uint32: (view, at, value) => view.setUint32(at, value, true),
  int32: (view, at, value) => view.setInt32(at, value, true),
  float32: (view, at, value) => view.setFloat32(at, value, true),
  uint64: (view, at, value) => view.setBigUint64(at, BigInt(value), true),
  int64: (view, at, value) => view.setBigInt64(at, BigInt(value), true),
  float64: (view, at, value) => view.setFloat64(at, value, true),
}

/** Little-endian bytes that grow as they are written. */
class ByteWriter {
  #view = new DataView(new ArrayBuffer(1 << 16))
  #length = 0

  #reserve(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#view.byteLength) {
      const grown = new Uint8Array(Math.max(this.#length, this.#view.byteLength * 2))
      grown.set(new Uint8Array(this.#view.buffer, 0, at))
      this.#view = new DataView(grown.buffer)
    }
    return at
  }

  number(type: NumberType, value: number): void {
    const at = this.#reserve(numberBytes[type])
    numberSetters[type](this.#view, at, value)
  }

  text(value: string): void {
    const bytes = Buffer.from(value, 'utf8')
    this.number('uint64', bytes.length)
    const at = this.#reserve(bytes.length)
    new Uint8Array(this.#view.buffer).set(bytes, at)
  }

  pad(): void {
    this.#reserve((alignment - (this.#length % alignment)) % alignment)
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#view.buffer, 0, this.#length)
  }
}

function writeScalar(
  out: ByteWriter,
  type: NumberType | 'bool' | 'string',
  value: number | boolean | string,
): void {
  if (typeof value === 'string') out.text(value)
  else if (typeof value === 'boolean') out.number('uint8', value ? 1 : 0)
  else if (type !== 'bool' && type !== 'string') out.number(type, value)
}

function writeValue(out: ByteWriter, entry: GgufValue): void {
  out.number('uint32', valueTypes[entry.type])
  if (entry.type !== 'array') {
    writeScalar(out, entry.type, entry.value)
    return
  }
  out.number('uint32', valueTypes[entry.items])
  out.number('uint64', entry.value.length)
  for (const item of entry.value) writeScalar(out, entry.items, item)
}

/**
 * Bytes that a tensor occupies, without padding; `shape` in ggml's order, the row length first.
 * Throws RangeError when the row length is no multiple of the type's block.
 */
export function encodedBytes(type: WritableType, shape: readonly number[]): number {
  const { rowMultiple } = tensorTypes[type]
  const rowLength = shape[0] ?? 0
  if (rowLength % rowMultiple !== 0) {
    throw new RangeError(
      `a ${type} tensor needs rows of a multiple of ${rowMultiple} weights, not ${rowLength}; choose another type or width`,
    )
  }
  const weights = shape.reduce((product, size) => product * size, 1)
  return tensorBytes(type, weights) ?? 0
}

const padded = (bytes: number): number => Math.ceil(bytes / alignment) * alignment

/**
 * The part of a GGUF v3 file before its tensor data, padded to the alignment, and the whole file's length in bytes.
 * Throws RangeError when a tensor's rows do not fit its type.
 */
export function ggufHeader(contents: GgufContents): { header: Uint8Array; fileBytes: number } {
  const metadata = Object.entries({
    ...contents.metadata,
    'general.alignment': gguf.uint32(alignment),
  })
  const out = new ByteWriter()
  out.number('uint32', 0x46554747)
  out.number('uint32', 3)
  out.number('uint64', contents.tensors.length)
  out.number('uint64', metadata.length)
  for (const [key, value] of metadata) {
    out.text(key)
    writeValue(out, value)
  }
  let dataBytes = 0
  for (const { name, type, shape } of contents.tensors) {
    out.text(name)
    out.number('uint32', shape.length)
    for (const size of shape) out.number('uint64', size)
    out.number('uint32', tensorTypes[type].number)
    out.number('uint64', dataBytes)
    dataBytes += padded(encodedBytes(type, shape))
  }
  out.pad()
  const header = out.bytes()
  return { header, fileBytes: header.length + dataBytes }
}

async function writeTensor(file: FileHandle, tensor: GgufTensor, position: number): Promise<number> {
  let pending: Uint8Array[] = []
  let pendingBytes = 0
  let at = position
  const flush = async (): Promise<void> => {
    if (pendingBytes === 0) return
    const { bytesWritten } = await file.writev(pending, at)
    if (bytesWritten !== pendingBytes) {
      throw new Error(
        `only ${bytesWritten} of ${pendingBytes} bytes of ${tensor.name} could be written; is the disk full?`,
      )
    }
    at += bytesWritten
    pending = []
    pendingBytes = 0
  }
  for await (const chunk of tensor.data()) {
    pending.push(chunk)
    pendingBytes += chunk.length
    if (pendingBytes >= flushBytes) await flush()
  }
  await flush()
  const written = at - position
  const expected = encodedBytes(tensor.type, tensor.shape)
  if (written !== expected)
    throw new Error(`tensor ${tensor.name} gave ${written} bytes where its shape needs ${expected}`)
  return position + padded(expected)
}

/**
 * Writes a GGUF v3 file (alignment 32), tensor after tensor, holding about a megabyte at a time.
 * With `sparse` only the header is written and the file stretched to its full length: every weight reads as zero
 * and the file takes next to no disk. Returns the file's length in bytes.
 * Throws when a tensor's bytes do not match its shape, or the file cannot be written.
 */
export async function writeGguf(
  path: string,
  contents: GgufContents,
  options: { sparse?: boolean } = {},
): Promise<number> {
  const { header, fileBytes } = ggufHeader(contents)
  const file = await open(path, 'w')
  try {
    await file.write(header, 0, header.length, 0)
    let position = header.length
    if (!options.sparse) {
      for (const tensor of contents.tensors) position = await writeTensor(file, tensor, position)
    }
    await file.truncate(fileBytes)
  } finally {
    await file.close()
  }
  return fileBytes
}
