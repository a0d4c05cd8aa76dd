import { rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { createVocabularies } from './vocabulary.ts'

const modelPath = join(import.meta.dirname, '../../../assets/drover-tiny.gguf')
const held: { release(): void }[] = []
afterEach(() => {
  for (const holder of held.splice(0)) holder.release()
})

function open() {
  const vocabularies = createVocabularies()
  held.push(vocabularies.hold())
  return vocabularies
}

describe("a model file's vocabulary", () => {
  it('turns text into tokens and back, special ones as one', async () => {
    const vocabularies = open()
    const text = '<|im_start|>user\nžlutý 🐑<|im_end|>'
    const tokens = await vocabularies.tokenize({ modelPath }, text, false)
    expect(await vocabularies.detokenize({ modelPath }, tokens)).toBe(text)
    expect(await vocabularies.tokenize({ modelPath }, '<|im_end|>', false)).toHaveLength(1)
  })

  it('that cannot be read is refused with the reason, and others are read all the same', async () => {
    const vocabularies = open()
    const junk = join(tmpdir(), `drover-junk-${process.pid}.gguf`)
    await writeFile(junk, 'this is no model')
    await expect(vocabularies.tokenize({ modelPath: junk }, 'x', false)).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringContaining('vocabulary cannot be read here: '),
    })
    await rm(junk)
    expect(await vocabularies.tokenize({ modelPath }, 'sheep', false)).not.toEqual([])
  })

  it('is asked of a new process after the last holder has gone', async () => {
    const vocabularies = open()
    const asked = await vocabularies.tokenize({ modelPath }, 'sheep', false)
    held.pop()?.release()
    held.push(vocabularies.hold())
    expect(await vocabularies.tokenize({ modelPath }, 'sheep', false)).toEqual(asked)
  })
})
