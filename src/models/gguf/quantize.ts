const blockWeights = 32
const blockBytes = 34

const floats = new Float32Array(1)
const bits = new Uint32Array(floats.buffer)

/**
 * The IEEE 754 half-precision bits nearest to `value`, ties to even.
 * Values beyond 65504 become infinity, NaN stays NaN, the smallest become subnormal or zero.
 */
export function toHalfBits(value: number): number {
  floats[0] = value
  const word = bits[0] ?? 0
  const sign = (word >>> 16) & 0x8000
  const magnitude = word & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00
  if (magnitude >= 0x47800000) return sign | 0x7c00
  if (magnitude < 0x38800000) return sign | roundTiesToEven(Math.abs(floats[0] ?? 0) * 2 ** 24)
  const rebiased = magnitude - 0x38000000
  return sign | ((rebiased + 0xfff + ((rebiased >>> 13) & 1)) >>> 13)
}

/** The number that half-precision `half` bits stand for. */
export function fromHalfBits(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >>> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1
  return floor
}

/** Weights as little-endian float32, 4 bytes each. */
export function encodeF32(weights: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(weights.length * 4))
  for (let index = 0; index < weights.length; index++) out.setFloat32(index * 4, weights[index] ?? 0, true)
  return new Uint8Array(out.buffer)
}

/** Weights as little-endian float16, 2 bytes each, rounded to nearest even. */
export function encodeF16(weights: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(weights.length * 2))
  for (let index = 0; index < weights.length; index++)
    out.setUint16(index * 2, toHalfBits(weights[index] ?? 0), true)
  return new Uint8Array(out.buffer)
}

/** Weights as little-endian bfloat16, 2 bytes each, rounded to nearest even; NaN stays NaN. */
export function encodeBF16(weights: Float32Array): Uint8Array {
  const out = new DataView(new ArrayBuffer(weights.length * 2))
  for (let index = 0; index < weights.length; index++) {
    floats[0] = weights[index] ?? 0
    const word = bits[0] ?? 0
    const notANumber = (word & 0x7fffffff) > 0x7f800000
    const rounded = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16
    out.setUint16(index * 2, rounded & 0xffff, true)
  }
  return new Uint8Array(out.buffer)
}

/**
 * Weights as Q8_0: blocks of 32, each a float16 scale (the largest magnitude over 127) and 32 signed bytes.
 * Source: `block_q8_0` of ggml. Throws RangeError when the count is no multiple of 32.
 */
export function encodeQ8_0(weights: Float32Array): Uint8Array {
  if (weights.length % blockWeights !== 0) {
    throw new RangeError(`Q8_0 needs a multiple of ${blockWeights} weights, not ${weights.length}`)
  }
  const blocks = weights.length / blockWeights
  const out = new DataView(new ArrayBuffer(blocks * blockBytes))
  for (let block = 0; block < blocks; block++) {
    const start = block * blockWeights
    let largest = 0
    for (let index = 0; index < blockWeights; index++)
      largest = Math.max(largest, Math.abs(weights[start + index] ?? 0))
    const scale = largest / 127
    out.setUint16(block * blockBytes, toHalfBits(scale), true)
    for (let index = 0; index < blockWeights; index++) {
      const level = scale === 0 ? 0 : Math.round((weights[start + index] ?? 0) / scale)
      out.setInt8(block * blockBytes + 2 + index, level)
    }
  }
  return new Uint8Array(out.buffer)
}

/** The weights that Q8_0 blocks stand for; the inverse of {@link encodeQ8_0} up to its rounding. */
export function decodeQ8_0(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const weights = new Float32Array((bytes.length / blockBytes) * blockWeights)
  for (let block = 0; block * blockBytes < bytes.length; block++) {
    const scale = fromHalfBits(view.getUint16(block * blockBytes, true))
    for (let index = 0; index < blockWeights; index++) {
      weights[block * blockWeights + index] = scale * view.getInt8(block * blockBytes + 2 + index)
    }
  }
  return weights
}
