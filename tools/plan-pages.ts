/** Writes docs/plans by running `drover plan` on well-known cases. */
import { writeFile } from 'node:fs/promises'
import { planPages } from './plan-pages/pages.ts'

for (const [name, text] of await planPages()) {
  await writeFile(new URL(`../docs/plans/${name}`, import.meta.url), text)
}
