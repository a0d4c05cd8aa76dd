import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { pruneTensorCache } from './cache.ts'

const folder = await mkdtemp(join(tmpdir(), 'drover-rpc-cache-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

it('keeps the tensors that were used last, within the limit', async () => {
  expect(await pruneTensorCache(folder, 100)).toBe(0)
  await mkdir(join(folder, 'rpc'))
  for (const [name, usedAtS] of [
    ['old', 1000],
    ['new', 3000],
    ['middle', 2000],
  ] as const) {
    await writeFile(join(folder, 'rpc', name), Buffer.alloc(40))
    await utimes(join(folder, 'rpc', name), usedAtS, usedAtS)
  }
  expect(await pruneTensorCache(folder, 120)).toBe(0)
  expect(await pruneTensorCache(folder, 100)).toBe(40)
  expect((await readdir(join(folder, 'rpc'))).sort()).toEqual(['middle', 'new'])
})
