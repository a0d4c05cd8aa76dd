import { createHash } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import type { Server } from './server.ts'

/** Names of the models that the rows ask: one that talks, calls tools and thinks; one that embeds. */
export const talker = 'conformance/talker'
export const embedder = 'conformance/embedder'
/** A model that rows make, copy and remove. */
export const made = 'conformance/made'

const asset = (name: string) => new URL(`../../assets/${name}`, import.meta.url)

/** Makes the models that the rows need, by the server's own API. Throws where that does not work. */
export async function makeModels(server: Server): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-conformance-'))
  try {
    const embedding = join(folder, 'embedder.gguf')
    await writeSyntheticGguf(embedding, { architecture: 'bert', layers: 2, dim: 64, heads: 2, context: 512 })
    const template = await readFile(asset('drover-tiny.gotmpl'), 'utf8')
    await create(server, talker, await readFile(asset('drover-tiny.gguf')), {
      template,
      system: 'You are Drover.',
      license: 'MIT',
      parameters: { temperature: 0, stop: ['<|im_end|>'] },
    })
    await create(server, embedder, await readFile(embedding), {})
  } finally {
    await rm(folder, { recursive: true })
  }
}

async function create(server: Server, model: string, gguf: Buffer, more: object): Promise<void> {
  const digest = `sha256:${createHash('sha256').update(gguf).digest('hex')}`
  const uploaded = await server.send({ method: 'POST', path: `/api/blobs/${digest}`, body: gguf })
  if (uploaded.status > 201) throw new Error(`upload of ${model}: ${uploaded.status} ${uploaded.text}`)
  const body = { model, files: { 'model.gguf': digest }, stream: false, ...more }
  const created = await server.send({ path: '/api/create', body })
  if (created.status !== 200) throw new Error(`creation of ${model}: ${created.status} ${created.text}`)
}

/** Removes what `makeModels` and the rows have made. */
export async function removeModels(server: Server): Promise<void> {
  for (const model of [talker, embedder, made]) {
    await server.send({ method: 'DELETE', path: '/api/delete', body: { model } })
  }
}
