import { toHalfBits } from '../../src/models/gguf/quantize.ts'
import { encodedBytes, type WritableType } from '../../src/models/gguf/write.ts'

/** Rows are made and handed on in pieces of about this many bytes. */
const pieceBytes = 1 << 20

/** Fills `words` with xorshift128's stream; `state` is four 32-bit integers, not all zero, and moves on. */
function fillRandom(words: Uint32Array, state: Uint32Array): void {
  let [x = 1, y = 2, z = 3, w = 4] = state
  for (let index = 0; index < words.length; index++) {
    const mixed = x ^ (x << 11)
    x = y
    y = z
    z = w
    w = w ^ (w >>> 19) ^ mixed ^ (mixed >>> 8)
    words[index] = w
  }
  state.set([x, y, z, w])
}

function seededState(seed: number, stream: number): Uint32Array {
  const state = Uint32Array.of(seed ^ 0x9e3779b9, stream ^ 0x85ebca6b, seed + stream, 0xc2b2ae35)
  fillRandom(new Uint32Array(16), state)
  return state
}

/** Keeps sign and mantissa of every number random and its exponent fixed: valid floats of one magnitude. */
function fixExponent(words: Uint32Array, type: 'F32' | 'F16' | 'BF16', deviation: number): void {
  const exponent = Math.round(Math.log2(deviation / 1.5))
  const layouts = {
    F32: { keep: 0x807fffff, set: (exponent + 127) << 23 },
    F16: { keep: 0x83ff83ff, set: ((exponent + 15) << 10) | ((exponent + 15) << 26) },
    BF16: { keep: 0x807f807f, set: ((exponent + 127) << 7) | ((exponent + 127) << 23) },
  }
  const { keep, set } = layouts[type]
  for (let index = 0; index < words.length; index++) words[index] = ((words[index] ?? 0) & keep) | set
}

/**
 * Where a block type keeps its float16 scales, and how far random bits in its other fields spread per unit of the
 * first scale. `minimum` is Q4_K's second scale in units of the first: 7.5, the mean of its 4-bit levels, centres
 * the weights. Source: the block structures of ggml-common.h.
 */
const blocks = {
  Q4_0: { bytes: 18, scaleAt: 0, spread: 4.6, minimum: undefined },
  Q8_0: { bytes: 34, scaleAt: 0, spread: 73.9, minimum: undefined },
  Q4_K: { bytes: 144, scaleAt: 0, spread: 245, minimum: 7.5 },
  Q6_K: { bytes: 210, scaleAt: 208, spread: 1366, minimum: undefined },
}

function setScales(bytes: Uint8Array, type: keyof typeof blocks, deviation: number): void {
  const { bytes: blockBytes, scaleAt, spread, minimum } = blocks[type]
  const scale = toHalfBits(deviation / spread)
  const second = minimum === undefined ? undefined : toHalfBits((minimum * deviation) / spread)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let at = 0; at < bytes.length; at += blockBytes) {
    // The random sign that is already there stays: the levels of a block are not quite centred, the blocks then are.
    const sign = view.getUint16(at + scaleAt, true) & 0x8000
    view.setUint16(at + scaleAt, sign | scale, true)
    if (second !== undefined) view.setUint16(at + scaleAt + 2, sign | second, true)
  }
}

/**
 * The encoded bytes of a tensor of random weights with about the standard deviation asked for, in pieces.
 * The same `seed` and `stream` give the same bytes. `shape` is in ggml's order.
 */
export function* randomTensor(
  type: WritableType,
  shape: readonly number[],
  deviation: number,
  seed: number,
  stream: number,
): Generator<Uint8Array> {
  const state = seededState(seed, stream)
  const total = encodedBytes(type, shape)
  const unit = type in blocks ? blocks[type as keyof typeof blocks].bytes * 2 : 4
  const whole = Math.max(unit, Math.floor(pieceBytes / unit) * unit)
  for (let at = 0; at < total; at += whole) {
    const length = Math.min(whole, total - at)
    const words = new Uint32Array(Math.ceil(length / 4))
    fillRandom(words, state)
    if (type === 'F32' || type === 'F16' || type === 'BF16') fixExponent(words, type, deviation)
    const bytes = new Uint8Array(words.buffer, 0, length)
    if (type !== 'F32' && type !== 'F16' && type !== 'BF16') setScales(bytes, type, deviation)
    yield bytes
  }
}
