import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { ModelStore, StoredModel } from '../models/index.ts'

/** The name the model that comes with Drover has in the store. */
export const demoModelName = 'drover'

const asset = (file: string) => fileURLToPath(new URL(`../../assets/${file}`, import.meta.url))

/** Puts the small model that comes with Drover into the store. Done once; later starts find it there. */
export async function importDemoModel(store: ModelStore): Promise<StoredModel> {
  const path = asset('drover-tiny.gguf')
  if (!existsSync(path))
    throw new Error(`the bundled model ${path} is missing: the installation is incomplete`)
  // A file ends with a line break, a prompt must not.
  const template = (await readFile(asset('drover-tiny.gotmpl'), 'utf8')).trimEnd()
  return store.importGguf(demoModelName, { path, template, parameters: { temperature: 0 } })
}
