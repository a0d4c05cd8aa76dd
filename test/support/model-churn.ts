/** Makes, copies and removes models in a store until it is killed: `node model-churn.ts ROOT FOLDER_OF_GGUFS SEED`. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createLlamaTools, createModelMaker, openStore } from '../../src/models/index.ts'
import { quietLog } from './quiet-log.ts'

const [, , root = '', folder = '', seed = '1'] = process.argv
const never = new AbortController().signal
const store = await openStore({ root, log: quietLog })
async function* nothing() {
  yield { status: 'success' }
}
const make = createModelMaker({
  store,
  registry: { pull: nothing },
  tools: createLlamaTools({ folders: [], path: '' }),
})
const files = await readdir(folder)
let state = Number(seed)
const pick = <T>(items: readonly T[]): T => {
  state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32
  return items[Math.floor((state / 2 ** 32) * items.length)] as T
}
const names = ['one', 'two', 'three', 'four']
process.stdout.write('ready\n')
for (;;) {
  try {
    await pick([create, create, copy, remove])()
  } catch (error) {
    // A model that was not there to copy or to remove.
    if (!/not found/.test(String(error))) throw error
  }
}

async function create(): Promise<void> {
  const path = join(folder, pick(files))
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(path))
    .digest('hex')}`
  await store.putBlob(digest, createReadStream(path), never)
  const request = {
    model: pick(names),
    files: { 'm.gguf': digest },
    system: `Number ${pick([1, 2, 3, 4, 5])}.`,
  }
  for await (const _ of make(request, never));
}

async function copy(): Promise<void> {
  await store.copy(pick(names), pick(names))
}

async function remove(): Promise<void> {
  await store.remove(pick(names))
}
