import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ensureLlamaServer } from '../../../test/support/llama-server.ts'
import { quietLog } from '../../../test/support/quiet-log.ts'
import { writeSyntheticProjector } from '../../../tools/synthetic/projector.ts'
import { syntheticContents, writeSyntheticGguf } from '../../../tools/synthetic.ts'
import type { CreateRequest, ModelMaker, ModelStore, Progress } from '../contract.ts'
import { gguf as values, writeGguf } from '../gguf/write.ts'
import { openStore } from '../store.ts'
import { createModelMaker } from './make.ts'
import { createLlamaTools } from './tools.ts'

const never = new AbortController().signal

let root: string
let files: string
let store: ModelStore
let make: ModelMaker
let pulled: string[]
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'drover-create-'))
  files = await mkdtemp(join(tmpdir(), 'drover-create-files-'))
  store = await openStore({ root, log: quietLog })
  pulled = []
  const registry = {
    async *pull(name: string) {
      pulled.push(name)
      yield { status: 'pulling manifest' }
      if (name === 'gone') throw new Error('pull model manifest: file does not exist')
      await store.importGguf(name, { path: await gguf('pulled.gguf', 9) })
      yield { status: 'success' }
    },
  }
  const folders = [dirname(await ensureLlamaServer()), files]
  make = createModelMaker({ store, registry, tools: createLlamaTools({ folders, path: '' }) })
})
afterEach(async () => {
  await rm(root, { recursive: true })
  await rm(files, { recursive: true })
})

async function gguf(name: string, seed = 1, type: 'F16' | 'Q8_0' = 'F16'): Promise<string> {
  const path = join(files, name)
  await writeSyntheticGguf(path, { layers: 2, dim: 256, heads: 4, vocab: 300, seed, type })
  return path
}

async function upload(path: string): Promise<string> {
  const digest = `sha256:${createHash('sha256')
    .update(await readFile(path))
    .digest('hex')}`
  await store.putBlob(digest, createReadStream(path), never)
  return digest
}

async function created(request: CreateRequest): Promise<string[]> {
  const statuses: string[] = []
  for await (const { status } of make(request, never)) statuses.push(status)
  return statuses
}

const found = async (name: string) => {
  const stored = await store.find(name)
  if (!stored) throw new Error(`there is no ${name}`)
  return stored
}

describe('a model made from a GGUF', () => {
  it('has its config from the file and its texts from the request', async () => {
    const digest = await upload(await gguf('model.gguf'))
    const statuses = await created({
      model: 'me/new:v1',
      files: { 'model.gguf': digest },
      template: '{{ .Prompt }}',
      system: 'Be brief.',
      licenses: ['MIT'],
      parameters: { temperature: 0.5, stop: ['<e>'] },
      messages: [{ role: 'user', content: 'hi' }],
      requires: '0.14.0',
    })
    expect(statuses).toEqual([
      'parsing GGUF',
      `using existing layer ${digest}`,
      ...Array.from({ length: 5 }, () => expect.stringMatching(/^creating new layer sha256:[0-9a-f]{64}$/)),
      'writing manifest',
      'success',
    ])
    const stored = await found('me/new:v1')
    expect(stored).toMatchObject({
      template: '{{ .Prompt }}',
      system: 'Be brief.',
      licenses: ['MIT'],
      parameters: { temperature: 0.5, stop: ['<e>'] },
      messages: [{ role: 'user', content: 'hi' }],
      config: { model_format: 'gguf', model_family: 'llama', file_type: 'F16', requires: '0.14.0' },
    })
    await expect(store.describe(stored)).resolves.toMatchObject({ file: { fileType: 'F16' } })
  })

  it('has the Go template of a format that its own template is found to be', async () => {
    const statuses = await created({ model: 'x', files: { 'x.gguf': await upload(await gguf('x.gguf')) } })
    expect(statuses.slice(0, 2)).toEqual(['parsing GGUF', 'using autodetected template chatml'])
    expect(await found('x')).toMatchObject({
      template: expect.stringContaining('<|im_start|>{{ .Role }}'),
      parameters: { stop: ['<|im_start|>', '<|im_end|>'] },
    })
  })

  it('has a projector beside it where one of the files is one', async () => {
    const projector = join(files, 'mm.gguf')
    await writeSyntheticProjector(projector, { modelDim: 256 })
    const model = await upload(await gguf('model.gguf'))
    const digest = await upload(projector)
    await created({ model: 'see', files: { 'mm.gguf': digest, 'model.gguf': model } })
    const stored = await found('see')
    expect(stored.projectorPaths).toEqual([store.blobPath(digest)])
    expect((await store.describe(stored)).capabilities).toContain('vision')
  })

  it('is quantised by llama.cpp’s tool, with progress', async () => {
    const files = { 'model.gguf': await upload(await gguf('model.gguf')) }
    const progress: Progress[] = []
    for await (const step of make({ model: 'small', files, quantize: 'q4_K_M' }, never)) progress.push(step)
    const quantizing = progress.filter(({ status }) => status === 'quantizing F16 model to Q4_K_M')
    expect(quantizing.at(-1)).toMatchObject({ digest: '0000000000000000000', total: expect.any(Number) })
    expect(quantizing.at(-1)?.completed).toBe(quantizing.at(-1)?.total)
    const stored = await found('small')
    expect(stored.config.file_type).toBe('Q4_K_M')
    expect((await store.describe(stored)).file.fileType).toBe('Q4_K_M')
    expect((await readdir(join(root, 'blobs'))).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('has the renderer and parser of its family, unless something else is asked for', async () => {
    const path = join(files, 'nemotron.gguf')
    const { metadata, tensors } = syntheticContents({ layers: 1, dim: 32, heads: 1, vocab: 259 })
    const asGemma = { ...metadata, 'general.architecture': values.string('gemma4') }
    await writeGguf(path, { metadata: asGemma, tensors })
    const digest = await upload(path)
    await created({ model: 'plain', files: { 'x.gguf': digest } })
    expect(await found('plain')).toMatchObject({
      config: { renderer: 'gemma4', parser: 'gemma4' },
      parameters: { stop: ['<turn|>'] },
    })
    await created({ model: 'own', files: { 'x.gguf': digest }, template: '{{ .Prompt }}' })
    expect((await found('own')).config).not.toHaveProperty('renderer')
  })

  it('replaces the model of the same name, and what only that one used is gone', async () => {
    const one = await upload(await gguf('one.gguf', 1))
    const two = await upload(await gguf('two.gguf', 2))
    await created({ model: 'x', files: { 'one.gguf': one }, system: 'old' })
    await created({ model: 'X', files: { 'two.gguf': two } })
    expect((await store.list()).map(({ displayName }) => displayName)).toEqual(['x:latest'])
    expect(await store.blobSize(one)).toBeUndefined()
    expect(await store.blobSize(two)).toBeDefined()
  })
})

describe('a model made from a model', () => {
  beforeEach(async () => {
    const digest = await upload(await gguf('model.gguf'))
    await created({
      model: 'base',
      files: { 'model.gguf': digest },
      system: 'old',
      licenses: ['MIT'],
      parameters: { temperature: 0.1, num_ctx: 512 },
    })
  })

  it('keeps what the request does not replace; licences add up and parameters are laid over', async () => {
    await created({
      model: 'derived',
      from: 'base',
      system: 'new',
      licenses: ['ISC'],
      parameters: { temperature: 0.9 },
    })
    const [base, derived] = [await found('base'), await found('derived')]
    expect(derived).toMatchObject({
      modelPath: base.modelPath,
      system: 'new',
      licenses: ['MIT', 'ISC'],
      parameters: { temperature: 0.9, num_ctx: 512 },
      parentModel: 'base',
    })
    expect(derived.config).toMatchObject({ model_family: 'llama', file_type: 'F16' })
  })

  it('may be the model itself', async () => {
    await created({ model: 'base', from: 'base', system: 'new' })
    expect(await found('base')).toMatchObject({ system: 'new', parameters: { temperature: 0.1 } })
    await expect(store.describe(await found('base'))).resolves.toBeDefined()
  })

  it('pulls the one to start from where it is not here', async () => {
    expect(await created({ model: 'derived', from: 'far' })).toContain('pulling manifest')
    expect(pulled).toEqual(['far'])
    await expect(created({ model: 'derived', from: 'gone' })).rejects.toThrow('file does not exist')
  })

  it('takes over what info says of it', async () => {
    await created({ model: 'derived', from: 'base', info: { context_length: 99, capabilities: ['tools'] } })
    expect((await found('derived')).config).toMatchObject({ context_length: 99, capabilities: ['tools'] })
  })
})

describe('what cannot be made', () => {
  const digestOf = async () => upload(await gguf('model.gguf'))

  it.each<[string, () => Promise<Omit<CreateRequest, 'model'>>]>([
    ["neither 'from' or 'files' was specified", async () => ({})],
    ['no files provided to convert', async () => ({ files: {} })],
    ['file path must be relative', async () => ({ files: { '../x.gguf': await digestOf() } })],
    ['file path must be relative', async () => ({ files: { '/etc/x.gguf': await digestOf() } })],
    ['invalid digest format', async () => ({ files: { 'x.gguf': 'sha256:12' } })],
    [
      `blob "sha256:${'0'.repeat(64)}" not found`,
      async () => ({ files: { 'x.gguf': `sha256:${'0'.repeat(64)}` } }),
    ],
    ['--draft-quantize requires a DRAFT model', async () => ({ from: 'x', draftQuantize: 'Q8_0' })],
    ['bad remote', async () => ({ from: 'x', remoteHost: 'http://' })],
    [
      'unsupported quantization type Q3_K_M - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0',
      async () => ({ files: { 'x.gguf': await digestOf() }, quantize: 'q3_K_M' }),
    ],
    [
      'quantization is only supported for F16, BF16 and F32 models',
      async () => ({
        files: { 'x.gguf': await upload(await gguf('q.gguf', 1, 'Q8_0')) },
        quantize: 'Q4_K_M',
      }),
    ],
    ['template error', async () => ({ files: { 'x.gguf': await digestOf() }, template: '{{ if }}' })],
    [
      'parameter "heat" is unknown',
      async () => ({ files: { 'x.gguf': await digestOf() }, parameters: { heat: 1 } }),
    ],
    [
      'info field "context_length" must be a non-negative integer',
      async () => ({ files: { 'x.gguf': await digestOf() }, info: { context_length: -1 } }),
    ],
  ])('%s', async (message, request) => {
    await expect(created({ model: 'new', ...(await request()) })).rejects.toThrow(message)
    expect(await store.find('new')).toBeUndefined()
  })

  it('is a part of a model: how to join it is said', async () => {
    const path = join(files, 'part.gguf')
    const { metadata, tensors } = syntheticContents({ layers: 1, dim: 32, heads: 1, vocab: 259 })
    await writeGguf(path, { metadata: { ...metadata, 'split.count': values.uint32(3) }, tensors })
    const request = { model: 'new', files: { 'part.gguf': await upload(path) } }
    await expect(created(request)).rejects.toThrow(/part\.gguf is one of 3 parts of a model: join/)
  })

  it('is told by its content, whatever its name', async () => {
    const path = join(files, 'text')
    await writeFile(path, 'no model')
    const digest = await upload(path)
    await expect(created({ model: 'new', files: { 'x.gguf': digest } })).rejects.toThrow(
      'supplied file was not in GGUF format',
    )
    await expect(created({ model: 'new', files: { 'x.bin': digest } })).rejects.toThrow('unknown type')
  })
})

describe('safetensors', () => {
  const uploaded = async () => {
    const path = join(files, 'model.safetensors')
    await writeFile(path, 'weights')
    return { 'model.safetensors': await upload(path), 'config.json': await upload(path) }
  }

  it('are refused by the name of the tool that is missing', async () => {
    await expect(created({ model: 'new', files: await uploaded() })).rejects.toMatchObject({
      code: 'unsupported',
      message: expect.stringMatching(/convert_hf_to_gguf\.py, which was not found: put llama\.cpp's/),
    })
  })

  it('are handed to the tool as the folder that they were', async () => {
    const source = await gguf('source.gguf')
    const tool = join(files, 'convert_hf_to_gguf.py')
    const script = `#!/bin/sh\n[ -e "$1/config.json" ] && [ -e "$1/model.safetensors" ] && cp ${source} "$3"\n`
    await writeFile(tool, script)
    await chmod(tool, 0o755)
    const statuses = await created({ model: 'new', files: await uploaded() })
    expect(statuses[0]).toBe('converting model')
    expect((await found('new')).config).toMatchObject({ model_format: 'gguf', file_type: 'F16' })
  })

  it('whose tool fails leave nothing, and its last words are told', async () => {
    const tool = join(files, 'convert_hf_to_gguf.py')
    await writeFile(tool, '#!/bin/sh\necho "unknown architecture" >&2\nexit 3\n')
    await chmod(tool, 0o755)
    await expect(created({ model: 'new', files: await uploaded() })).rejects.toThrow(
      /failed \(it ended with code 3\): unknown architecture/,
    )
    expect((await readdir(join(root, 'blobs'))).filter((name) => name.startsWith('.'))).toEqual([])
  })
})
