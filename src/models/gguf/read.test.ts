import { mkdtemp, open, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { tinyTensors, writeTinyGguf } from '../testing.ts'
import { readGguf } from './read.ts'
import { gguf } from './write.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-gguf-read-'))
})
afterAll(() => rm(folder, { recursive: true }))

/** The message of the refusal of a file. */
async function refusal(path: string): Promise<string> {
  const error: unknown = await readGguf(path).then(
    () => undefined,
    (thrown) => thrown,
  )
  if (!(error instanceof DroverError)) throw new Error(`${path} was read, or failed in another way: ${error}`)
  expect(error.code).toBe('model_corrupt')
  expect(error.message).toContain(path)
  return error.message
}

async function written(name: string, content: Uint8Array): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, content)
  return path
}

/** The first bytes of a file that claims so much. */
function preamble(version: number, tensors: bigint, pairs: bigint): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.write('GGUF')
  bytes.writeUInt32LE(version, 4)
  bytes.writeBigUInt64LE(tensors, 8)
  bytes.writeBigUInt64LE(pairs, 16)
  return bytes
}

describe('a model file', () => {
  it('tells its shape, type, template and special tokens', async () => {
    const path = join(folder, 'tiny.gguf')
    await writeTinyGguf(path)
    const file = await readGguf(path)
    expect(file.fileType).toBe('Q4_K_M')
    expect(file.chatTemplate).toBe('{{ messages[0].content }}')
    expect([file.bosToken, file.eosToken, file.addsBos, file.pooling]).toEqual(['<s>', '</s>', true, false])
    expect(file.metadata['llama.block_count']).toBe(2)
    expect(Object.keys(file.metadata)).not.toContain('tensor_count')
    expect(file.tensors).toEqual(tinyTensors.map(({ name, type, shape }) => ({ name, type, shape })))
    expect(file.shape).toEqual({
      architecture: 'llama',
      parameterCount: 64 * 32 * 2 + 64 * 64 * 2 + 64,
      layerCount: 2,
      contextLength: 2048,
      embeddingLength: 64,
      feedForwardLength: 128,
      headCount: 4,
      headCountKv: [2, 2],
      keyLength: 16,
      valueLength: 16,
      vocabularySize: 32,
      weightBytes: 4096 + 4352 + 16384 + 256 + 4096,
      layerBytes: [4352, 16384],
      inputBytes: 4096,
      outputBytes: 4096 + 256,
      outputType: file.tensors.find(({ name }) => name === 'output.weight')?.type,
      layers: [
        expect.objectContaining({ bytes: 4352, parameters: 4096, expertBytes: 0 }),
        expect.objectContaining({ bytes: 16384, parameters: 4096, feedForwardLength: 128 }),
      ],
    })
  })

  it('keeps short arrays, and long ones only when asked to', async () => {
    const path = join(folder, 'long.gguf')
    const long = Array.from({ length: 1025 }, (_, index) => index)
    await writeTinyGguf(path, { 'test.short': gguf.int32s([1, 2]), 'test.long': gguf.int32s(long) })
    expect((await readGguf(path)).metadata).toMatchObject({ 'test.short': [1, 2], 'test.long': null })
    expect((await readGguf(path, { wholeArrays: true })).metadata['test.long']).toEqual(long)
  })

  it('makes numbers of 64-bit integers', async () => {
    const path = join(folder, 'wide.gguf')
    await writeTinyGguf(path, { 'test.wide': { type: 'uint64', value: 2 ** 40 } })
    expect((await readGguf(path)).metadata['test.wide']).toBe(2 ** 40)
  })

  it('says by its vocabulary whether BOS is added, where it does not say so itself', async () => {
    const cases: [Parameters<typeof writeTinyGguf>[1], boolean][] = [
      [{ 'tokenizer.ggml.add_bos_token': gguf.bool(false) }, false],
      [{ 'tokenizer.ggml.model': gguf.string('gpt2') }, false],
      [{ 'tokenizer.ggml.model': gguf.string('gpt2'), 'tokenizer.ggml.pre': gguf.string('llama-bpe') }, true],
      [{ 'tokenizer.ggml.model': gguf.string('bert') }, true],
    ]
    for (const [changes, expected] of cases) {
      const path = join(folder, 'bos.gguf')
      await writeTinyGguf(path, changes)
      expect((await readGguf(path)).addsBos).toBe(expected)
    }
  })

  it('embeds when it says how its states are pooled', async () => {
    const path = join(folder, 'pooling.gguf')
    await writeTinyGguf(path, { 'llama.pooling_type': gguf.uint32(1) })
    expect((await readGguf(path)).pooling).toBe(true)
  })

  it('has the file type that most of its bytes have, where it names none', async () => {
    const path = join(folder, 'untyped.gguf')
    await writeTinyGguf(path, { 'general.file_type': undefined })
    expect((await readGguf(path)).fileType).toBe('F32')
    await writeTinyGguf(path, { 'general.file_type': undefined }, [])
    // Without a layer's tensor there can be no layer.
    expect(await refusal(path)).toContain('2 layers but has 0 tensors')
  })

  it('may hold a tensor of a type that is not known yet: it reaches to the next one', async () => {
    const path = join(folder, 'new-type.gguf')
    await writeTinyGguf(path)
    const bytes = await readFile(path)
    // The type stands behind the name and the two dimensions.
    const at = bytes.indexOf('blk.1.attn_q.weight') + 'blk.1.attn_q.weight'.length + 4 + 16
    bytes.writeUInt32LE(77, at)
    await writeFile(path, bytes)
    const file = await readGguf(path)
    expect(file.tensors[2]?.type).toBe('TYPE_77')
    expect(file.shape.layerBytes[1]).toBe(16384)
  })
})

describe('a large model file', () => {
  /** Makes a file large by a hole behind its tensors. */
  async function enlarge(path: string): Promise<void> {
    await truncate(path, 65 * 2 ** 20)
  }

  it('is read in a thread of its own, to the same result', async () => {
    const path = join(folder, 'large.gguf')
    await writeTinyGguf(path)
    const small = await readGguf(path, { wholeArrays: true })
    await enlarge(path)
    expect(await readGguf(path, { wholeArrays: true })).toEqual(small)
  })

  it('with the vocabulary of a real model does not stop the process meanwhile', async () => {
    const path = join(folder, 'vocabulary.gguf')
    const texts = (count: number) =>
      gguf.strings(Array.from({ length: count }, (_, index) => `token ${index}`))
    await writeTinyGguf(path, {
      'tokenizer.ggml.tokens': texts(128_000),
      'tokenizer.ggml.merges': texts(280_000),
    })
    await enlarge(path)
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const file = await readGguf(path)
    delay.disable()
    expect(file.shape.vocabularySize).toBe(128_000)
    expect(file.bosToken).toBe('token 0')
    // Read in this thread it would be most of a second.
    expect(delay.max / 1e6).toBeLessThan(300)
  })

  it('is refused with the same words', async () => {
    const path = await written('large-text', Buffer.from('no model, whatever its length'))
    await enlarge(path)
    expect(await refusal(path)).toContain('it is not a GGUF file')
    await writeFile(path, preamble(3, 200_000n, 0n))
    await enlarge(path)
    expect(await refusal(path)).toContain('names no architecture')
  })
})

describe('a model file that cannot be used', () => {
  it('is named with what is wrong', async () => {
    expect(await refusal(join(folder, 'nowhere.gguf'))).toContain('ENOENT')
    expect(await refusal(folder)).toContain('it is not a file')
    expect(await refusal(await written('empty', Buffer.alloc(0)))).toContain('it is empty')
    expect(
      await refusal(await written('text', Buffer.from('{"not": "a model, but long enough"}'))),
    ).toContain('it is not a GGUF file')
    expect(await refusal(await written('short', Buffer.from('GGUF\x03\0\0\0')))).toContain(
      'ends after 8 bytes',
    )
    expect(await refusal(await written('version', preamble(9, 0n, 0n)))).toContain('version 9')
    expect(await refusal(await written('zero', preamble(0, 0n, 0n)))).toContain('version 0')
    expect(await refusal(await written('bigend', preamble(0x03000000, 0n, 0n)))).toContain('big-endian')
    expect(await refusal(await written('bare', preamble(3, 0n, 0n)))).toContain('names no architecture')
  })

  it('may claim any number of tensors and entries, and is refused at once', async () => {
    const most = 2n ** 64n - 1n
    for (const [tensors, pairs] of [
      [most, 0n],
      [0n, most],
      [most, most],
      [9_000_000n, 0n],
    ] as const) {
      const startMs = performance.now()
      expect(await refusal(await written('hostile', preamble(3, tensors, pairs)))).toContain(
        'but has only 24 bytes',
      )
      expect(performance.now() - startMs).toBeLessThan(1000)
    }
    const first = preamble(1, 0n, 0n)
    first.writeUInt32LE(4_000_000_000, 8)
    expect(await refusal(await written('hostile', first))).toContain('4000000000 tensors')
  })

  it('may claim four billion layers', async () => {
    const path = join(folder, 'layers.gguf')
    await writeTinyGguf(path, { 'llama.block_count': gguf.uint32(4_000_000_000) })
    expect(await refusal(path)).toContain('claims 4000000000 layers but has 5 tensors')
  })

  it('was cut off among its tensors, or within its head', async () => {
    const path = join(folder, 'cut.gguf')
    await writeTinyGguf(path)
    const { length } = await readFile(path)
    await truncate(path, length - 1000)
    expect(await refusal(path)).toMatch(/has \d+ bytes but its tensors need \d+: it was cut off/)
    await truncate(path, 600)
    await refusal(path)
  })

  it('is told apart from a good one whatever byte is changed and wherever it ends, without a hang or a crash', async () => {
    const good = join(folder, 'good.gguf')
    await writeTinyGguf(good)
    const bytes = await readFile(good)
    const headBytes = bytes.length - 29184
    const path = join(folder, 'fuzzed.gguf')
    const change = fc.record({ at: fc.nat(headBytes - 1), byte: fc.nat(255) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 6 }), fc.nat(bytes.length), async (changes, length) => {
        const fuzzed = Buffer.from(bytes)
        for (const { at, byte } of changes) fuzzed[at] = byte
        await writeFile(path, changes.length % 2 === 0 ? fuzzed.subarray(0, length) : fuzzed)
        const startMs = performance.now()
        const file = await readGguf(path).catch((error: unknown) => error)
        expect(performance.now() - startMs).toBeLessThan(3000)
        if (file instanceof Error) expect(file).toMatchObject({ name: 'DroverError', code: 'model_corrupt' })
        else expect(file).toHaveProperty('shape.weightBytes')
      }),
      { numRuns: 250 },
    )
  })

  it('may be huge and hold nothing: that is found out at once, in little memory', async () => {
    const before = process.memoryUsage().rss
    for (const [tensors, complaint] of [
      [2_000_000n, 'more than any model has'],
      [200_000n, 'names no architecture'],
    ] as const) {
      const path = join(folder, 'sparse.gguf')
      const file = await open(path, 'w')
      await file.write(preamble(3, tensors, 0n))
      await file.truncate(2 ** 31)
      await file.close()
      expect(await refusal(path)).toContain(complaint)
    }
    expect(process.memoryUsage().rss - before).toBeLessThan(2 ** 29)
  })
})
