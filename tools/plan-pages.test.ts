import { readdir, readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { planPages } from './plan-pages/pages.ts'

const folder = new URL('../docs/plans/', import.meta.url)

it('the pages of docs/plans are what the command prints now: `node tools/plan-pages.ts` writes them', async () => {
  const pages = await planPages()
  expect((await readdir(folder)).toSorted()).toEqual([...pages.keys()].toSorted())
  for (const [name, text] of pages) expect(await readFile(new URL(name, folder), 'utf8'), name).toBe(text)
}, 120_000)
