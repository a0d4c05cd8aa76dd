import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gguf as readGguf } from '@huggingface/gguf'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  decodeQ8_0,
  encodeBF16,
  encodeF16,
  encodeF32,
  encodeQ8_0,
  fromHalfBits,
  toHalfBits,
} from './quantize.ts'
import { encodedBytes, type GgufContents, gguf, type WritableType, writeGguf } from './write.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-gguf-'))
})
afterAll(() => rm(folder, { recursive: true }))

const weights = Float32Array.from({ length: 64 }, (_, index) => Math.sin(index))

const contents: GgufContents = {
  metadata: {
    'general.architecture': gguf.string('llama'),
    'llama.context_length': gguf.uint32(2048),
    'llama.rope.freq_base': gguf.float32(10000),
    'tokenizer.ggml.add_bos_token': gguf.bool(false),
    'tokenizer.ggml.tokens': gguf.strings(['a', '日本', '🐑', 'x'.repeat(100_000)]),
    'tokenizer.ggml.token_type': gguf.int32s([1, -1, 3]),
    'test.long': { type: 'uint64', value: 2 ** 40 },
  },
  tensors: [
    { name: 'first', type: 'F32', shape: [3], data: () => [encodeF32(weights.subarray(0, 3))] },
    {
      name: 'second',
      type: 'Q8_0',
      shape: [32, 2],
      data: () => [encodeQ8_0(weights.subarray(0, 32)), encodeQ8_0(weights.subarray(32))],
    },
    { name: 'third', type: 'F16', shape: [32, 2], data: () => [encodeF16(weights)] },
  ],
}

describe('a written GGUF file', () => {
  it('gives its metadata, shapes and offsets back to another reader', async () => {
    const path = join(folder, 'whole.gguf')
    const bytes = await writeGguf(path, contents)
    const { metadata, tensorInfos } = await readGguf(path, { allowLocalFile: true })
    expect((await stat(path)).size).toBe(bytes)
    expect(metadata.version).toBe(3)
    expect(metadata).toMatchObject({
      'general.architecture': 'llama',
      'llama.context_length': 2048,
      'tokenizer.ggml.add_bos_token': false,
      'tokenizer.ggml.tokens': ['a', '日本', '🐑', 'x'.repeat(100_000)],
      'tokenizer.ggml.token_type': [1, -1, 3],
      'test.long': 2n ** 40n,
    })
    expect(
      tensorInfos.map(({ name, shape, dtype, offset }) => [name, shape.map(Number), dtype, Number(offset)]),
    ).toEqual([
      ['first', [3], 0, 0],
      ['second', [32, 2], 8, 32],
      ['third', [32, 2], 1, 128],
    ])
  })

  it('holds each tensor at its aligned offset', async () => {
    const path = join(folder, 'data.gguf')
    await writeGguf(path, contents)
    const file = await readFile(path)
    const { tensorDataOffset } = await readGguf(path, { allowLocalFile: true })
    const start = Number(tensorDataOffset)
    expect(start % 32).toBe(0)
    const second = decodeQ8_0(file.subarray(start + 32, start + 32 + 68))
    for (const [index, value] of second.entries()) expect(value).toBeCloseTo(weights[index] ?? Number.NaN, 2)
  })

  it('takes its full length but no weights when sparse', async () => {
    const path = join(folder, 'sparse.gguf')
    const big = {
      metadata: contents.metadata,
      tensors: [{ name: 'big', type: 'F16' as const, shape: [1 << 16, 1 << 14], data: () => [] }],
    }
    const bytes = await writeGguf(path, big, { sparse: true })
    const { size, blocks } = await stat(path)
    expect(size).toBe(bytes)
    expect(size).toBeGreaterThan(2 ** 31)
    expect(blocks * 512).toBeLessThan(1 << 20)
  })

  it('refuses a tensor whose bytes do not match its shape', async () => {
    const wrong = {
      metadata: {},
      tensors: [{ name: 'short', type: 'F32' as const, shape: [8], data: () => [new Uint8Array(4)] }],
    }
    await expect(writeGguf(join(folder, 'wrong.gguf'), wrong)).rejects.toThrow(
      'short gave 4 bytes where its shape needs 32',
    )
  })

  it('refuses rows that do not fill the blocks of a type', () => {
    expect(() => encodedBytes('Q4_K', [128, 4])).toThrow('multiple of 256')
  })

  it('counts the bytes of every type by whole blocks', () => {
    const sizes: [WritableType, number][] = [
      ['F32', 4096],
      ['F16', 2048],
      ['BF16', 2048],
      ['Q8_0', 1088],
      ['Q4_0', 576],
      ['Q4_K', 576],
      ['Q6_K', 840],
    ]
    for (const [type, bytes] of sizes) expect(encodedBytes(type, [256, 4])).toBe(bytes)
  })
})

describe('quantisation', () => {
  const finite = fc.float({
    noNaN: true,
    noDefaultInfinity: true,
    min: Math.fround(-1e4),
    max: Math.fround(1e4),
  })

  it('keeps every half-precision number as it is', () => {
    for (let half = 0; half < 0x10000; half++) {
      const value = fromHalfBits(half)
      if (Number.isNaN(value)) expect(Number.isNaN(fromHalfBits(toHalfBits(value)))).toBe(true)
      else if (toHalfBits(value) !== half) throw new Error(`${half} (${value}) became ${toHalfBits(value)}`)
    }
  })

  it('rounds to the nearest half-precision number', () => {
    fc.assert(
      fc.property(finite, (value) => {
        const half = toHalfBits(value)
        const error = Math.abs(fromHalfBits(half) - value)
        expect(error).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -11, 2 ** -25))
      }),
    )
  })

  it('sends numbers beyond the largest half to infinity', () => {
    expect(fromHalfBits(toHalfBits(65504))).toBe(65504)
    expect(fromHalfBits(toHalfBits(65520))).toBe(Number.POSITIVE_INFINITY)
    expect(fromHalfBits(toHalfBits(-1e9))).toBe(Number.NEGATIVE_INFINITY)
  })

  it('rounds to the nearest bfloat16 number', () => {
    fc.assert(
      fc.property(finite, (value) => {
        const [low = 0, high = 0] = encodeBF16(Float32Array.of(value))
        const back = new Float32Array(Uint32Array.of(((high << 8) | low) << 16).buffer)[0] ?? Number.NaN
        expect(Math.abs(back - value)).toBeLessThanOrEqual(Math.max(Math.abs(value) * 2 ** -8, 1e-38))
      }),
    )
  })

  it('errs in Q8_0 by at most about half a step of the largest weight of the block', () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 32, maxLength: 32 }), (values) => {
        const block = Float32Array.from(values)
        const largest = Math.max(...block.map(Math.abs))
        const back = decodeQ8_0(encodeQ8_0(block))
        // Half a step, the rounding of the scale to half precision, and the smallest half for tiny scales.
        const allowed = (largest / 127) * 0.5 + largest * 2 ** -11 + 127 * 2 ** -25
        for (const [index, value] of block.entries())
          expect(Math.abs((back[index] ?? Number.NaN) - value)).toBeLessThanOrEqual(allowed)
      }),
    )
  })
})
