import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { answerOf, type LlamaBench, never, openLlamaBench } from '../../../test/support/llama-bench.ts'
import { picture } from '../../../test/support/picture.ts'
import { writeSyntheticProjector } from '../../../tools/synthetic/projector.ts'
import type { EngineInstance } from '../contract.ts'

const red = picture(255, 0, 0)
const blue = picture(0, 0, 255)

describe('llama.cpp with a projector', () => {
  let bench: LlamaBench
  let instance: EngineInstance
  beforeAll(async () => {
    bench = await openLlamaBench()
    const projector = join(bench.folder, 'projector.gguf')
    await writeSyntheticProjector(projector, { modelDim: 128 })
    instance = await bench.engineIn('run').launch(bench.spec({ projectorPaths: [projector] }), never)
  })
  afterAll(async () => {
    await instance.close()
    await bench.remove()
  })

  const seen = async (prompt: string, ...images: Buffer[]) =>
    (await answerOf(instance, { prompt, images, maxTokens: 12 })).text

  it('answers by what is in the picture, and the same for the same picture', async () => {
    const first = await seen('what is [img-0] this', red)
    expect(await seen('what is [img-0] this', blue)).not.toBe(first)
    expect(await seen('what is [img-0] this', red)).toBe(first)
  })

  it('tells apart which of two pictures stands where', async () => {
    const prompt = 'first [img-0] then [img-1] now'
    expect(await seen(prompt, red, blue)).not.toBe(await seen(prompt, blue, red))
  })

  it('takes a prompt that ends with a picture, or is nothing else', async () => {
    expect(await seen('look: [img-0]', red)).not.toBe('')
    expect(await seen('', blue)).not.toBe('')
  })

  it('refuses what is no picture, and goes on', async () => {
    const refused = expect.objectContaining({ code: 'invalid_request' })
    await expect(seen('what is [img-0] this', Buffer.from('no picture'))).rejects.toEqual(refused)
    await expect(seen('what is [img-0] this', red.subarray(0, 40))).rejects.toEqual(refused)
    expect(await seen('what is [img-0] this', red)).not.toBe('')
  })
})
