import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openPartial, type Part } from './partial.ts'

const limits = { count: 4, leastBytes: 10, mostBytes: 50 }
let folder: string
let blob: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-partial-'))
  blob = join(folder, `sha256-${'a'.repeat(64)}`)
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** What another process finds of a download. */
async function records(): Promise<Part[]> {
  const names = (await readdir(folder)).filter((name) => /-partial-\d+$/.test(name))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  const parsed = texts.map((text) => JSON.parse(text))
  return parsed.map(({ N, Offset, Size, Completed }) => ({
    n: N,
    offset: Offset,
    size: Size,
    completed: Completed,
  }))
}

/** Whether parts cover a blob with nothing twice and nothing missing. */
function tile(parts: readonly Part[], totalBytes: number): boolean {
  let end = 0
  for (const { offset, size } of [...parts].sort((a, b) => a.offset - b.offset)) {
    if (offset !== end) return false
    end += size
  }
  return end === totalBytes
}

describe('a partial blob', () => {
  it('is cut as Ollama cuts it, and its records say so', async () => {
    const sizes = async (totalBytes: number) => {
      await rm(folder, { recursive: true })
      await mkdir(folder)
      const partial = await openPartial(blob, totalBytes, limits)
      await partial.close()
      expect(await records()).toEqual(partial.parts)
      return partial.parts.map(({ size }) => size)
    }
    expect(await sizes(0)).toEqual([])
    expect(await sizes(7)).toEqual([7])
    expect(await sizes(35)).toEqual([10, 10, 10, 5])
    expect(await sizes(101)).toEqual([25, 25, 25, 25, 1])
    expect(await sizes(220)).toEqual([50, 50, 50, 50, 20])
  })

  it('goes on with what its records say', async () => {
    const first = await openPartial(blob, 100, limits)
    const part = first.parts[1]
    if (part === undefined) expect.fail('there is no second part')
    await first.append(part, Buffer.alloc(13, 7))
    await first.save(part)
    await first.close()
    const second = await openPartial(blob, 100, limits)
    expect(second.parts.map(({ completed }) => completed)).toEqual([0, 13, 0, 0])
    await second.close()
    const bytes = await readFile(`${blob}-partial`)
    expect(bytes.subarray(25, 38)).toEqual(Buffer.alloc(13, 7))
    expect(bytes).toHaveLength(100)
  })

  it('covers the whole blob once, whatever records it finds', async () => {
    const size = fc.nat(60)
    const record = fc.oneof(
      fc.record({ Offset: size, Size: size, Completed: size }).map((values) => JSON.stringify(values)),
      fc.constantFrom('', '{', 'null', '[]'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(record, { maxLength: 4 }),
        fc.integer({ min: 1, max: 100 }),
        fc.nat(100),
        async (texts, totalBytes, fileBytes) => {
          await Promise.all((await readdir(folder)).map((name) => rm(join(folder, name))))
          await writeFile(`${blob}-partial`, Buffer.alloc(fileBytes))
          for (const [n, text] of texts.entries()) {
            await writeFile(`${blob}-partial-${n}`, text.replace(/^\{"/, `{"N":${n},"`))
          }
          const partial = await openPartial(blob, totalBytes, limits)
          await partial.close()
          expect(tile(partial.parts, totalBytes)).toBe(true)
          expect(new Set(partial.parts.map(({ n }) => n)).size).toBe(partial.parts.length)
          for (const { offset, size: bytes, completed } of partial.parts) {
            expect(completed).toBeLessThanOrEqual(bytes)
            if (completed > 0) expect(offset + completed).toBeLessThanOrEqual(fileBytes)
          }
          const written = await records()
          expect(tile(written, totalBytes)).toBe(true)
        },
      ),
      { numRuns: 200 },
    )
  })
})
