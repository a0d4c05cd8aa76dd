import { createHash } from 'node:crypto'
import { embedder, made, talker } from '../models.ts'
import { aDate, aFullText, aNumber, anArray, aPositiveNumber, asks, expectFit, type Row } from '../row.ts'
import type { Server } from '../server.ts'

/** Sections 2.5 to 2.7 and 4.1: embeddings, the models of the store, and how they change. */

const listed = {
  name: aFullText,
  model: aFullText,
  modified_at: aDate,
  size: aPositiveNumber,
  digest: /^[0-9a-f]{64}$/,
  details: {
    parent_model: '',
    format: 'gguf',
    family: 'llama',
    families: ['llama'],
    parameter_size: /^\d+(\.\d+)?[KMB]$/,
    quantization_level: aFullText,
  },
}

async function progress(server: Server, path: string, body: object): Promise<Record<string, unknown>[]> {
  const reply = await server.send({ path, body })
  expectFit('application/x-ndjson', reply.headers['content-type'], 'content-type')
  return reply.lines()
}

const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`
const rows = (...checks: [id: string, check: (server: Server) => Promise<void>][]): Row[] =>
  checks.map(([id, check]) => ({ id, check }))

const create = (id: string, body: object, status: number, error: unknown) =>
  asks(
    `2.7 create: ${id}`,
    { path: '/api/create', body: { model: made, ...body } },
    { status, json: { error } },
  )

export const store: Row[] = [
  asks(
    '2.5 embed: one text',
    { path: '/api/embed', body: { model: embedder, input: 'a text' } },
    {
      status: 200,
      json: {
        model: embedder,
        embeddings: [anArray],
        total_duration: aPositiveNumber,
        prompt_eval_count: aPositiveNumber,
      },
    },
  ),
  asks(
    '2.5 embed: several texts',
    { path: '/api/embed', body: { model: embedder, input: ['a', 'b', 'c'] } },
    { status: 200, json: { embeddings: [anArray, anArray, anArray] } },
  ),
  asks(
    '2.5 embed: no text',
    { path: '/api/embed', body: { model: embedder } },
    { status: 200, json: { embeddings: [] } },
  ),
  asks(
    '2.5 embed: an empty list',
    { path: '/api/embed', body: { model: embedder, input: [] } },
    { status: 200, json: { embeddings: [] } },
  ),
  asks(
    '2.5 embed: too long is cut',
    { path: '/api/embed', body: { model: embedder, input: 'word '.repeat(3000) } },
    { status: 200, json: { embeddings: [anArray] } },
  ),
  ...rows(
    [
      '2.5 embed: vectors have length 1',
      async (server) => {
        const { embeddings } = (
          await server.send({ path: '/api/embed', body: { model: embedder, input: 'a' } })
        ).json() as { embeddings: number[][] }
        const length = Math.hypot(...(embeddings[0] ?? []))
        expectFit(true, Math.abs(length - 1) < 1e-3, `length ${length}`)
      },
    ],
    [
      '2.5 embed: fewer dimensions, of length 1 again',
      async (server) => {
        const { embeddings } = (
          await server.send({ path: '/api/embed', body: { model: embedder, input: 'a', dimensions: 8 } })
        ).json() as { embeddings: number[][] }
        expectFit(8, embeddings[0]?.length, 'dimensions')
        expectFit(true, Math.abs(Math.hypot(...(embeddings[0] ?? [])) - 1) < 1e-3, 'length')
      },
    ],
  ),
  asks(
    '2.5 embeddings: one text',
    { path: '/api/embeddings', body: { model: embedder, prompt: 'a' } },
    { status: 200, json: { embedding: anArray } },
  ),
  asks(
    '2.5 embeddings: no text',
    { path: '/api/embeddings', body: { model: embedder } },
    { status: 200, json: { embedding: [] } },
  ),

  ...rows(
    [
      '2.6 tags: a model',
      async (server) => {
        const { models } = (await server.send({ path: '/api/tags' })).json() as { models: { name: string }[] }
        expectFit(
          listed,
          models.find(({ name }) => name === `${talker}:latest`),
          'the model',
        )
      },
    ],
    [
      '2.6 tags: newest first',
      async (server) => {
        const { models } = (await server.send({ path: '/api/tags' })).json() as {
          models: { modified_at: string }[]
        }
        const dates = models.map(({ modified_at }) => Date.parse(modified_at))
        expectFit(
          [...dates].sort((a, b) => b - a),
          dates,
          'dates',
        )
      },
    ],
    [
      '2.6 ps: a model that runs',
      async (server) => {
        await server.send({ path: '/api/generate', body: { model: talker, keep_alive: '10m' } })
        const { models } = (await server.send({ path: '/api/ps' })).json() as { models: { name: string }[] }
        const running = {
          ...listed,
          modified_at: (value: unknown) => value === undefined,
          expires_at: aDate,
          size_vram: aNumber,
          context_length: aPositiveNumber,
        }
        expectFit(
          running,
          models.find(({ name }) => name === `${talker}:latest`),
          'the model',
        )
      },
    ],
    [
      '3.5 ps: one that is kept for ever',
      async (server) => {
        await server.send({ path: '/api/generate', body: { model: talker, keep_alive: -1 } })
        const { models } = (await server.send({ path: '/api/ps' })).json() as {
          models: { name: string; expires_at: string }[]
        }
        const until = Number(models.find(({ name }) => name === `${talker}:latest`)?.expires_at.slice(0, 4))
        expectFit(true, until > 2100, `year ${until}`)
        await server.send({ path: '/api/generate', body: { model: talker, keep_alive: '5m' } })
      },
    ],
  ),
  asks(
    '2.6 show: a model',
    { path: '/api/show', body: { model: talker } },
    {
      status: 200,
      json: {
        license: 'MIT',
        modelfile:
          /^# Modelfile generated by "ollama show"\n# To build a new Modelfile based on this, replace FROM with:\n# FROM .*\n\nFROM \//,
        parameters: /^stop {27}"<\|im_end\|>"$/m,
        template: /\{\{/,
        system: 'You are Drover.',
        details: { family: 'llama' },
        model_info: {
          'general.architecture': 'llama',
          'general.name': (value: unknown) => value === undefined,
          'tokenizer.chat_template': (value: unknown) => value === undefined,
        },
        tensors: anArray,
        capabilities: (value: unknown) =>
          Array.isArray(value) &&
          ['completion', 'tools', 'thinking', 'insert'].every((one) => value.includes(one)),
        modified_at: aDate,
      },
    },
  ),
  asks('2.6 show: by name', { path: '/api/show', body: { name: talker } }, { status: 200 }),
  asks(
    '2.6 show: in another case',
    { path: '/api/show', body: { model: talker.toUpperCase() } },
    { status: 200 },
  ),
  asks(
    '2.6 show: long lists are null',
    { path: '/api/show', body: { model: talker } },
    { status: 200, json: { model_info: { 'tokenizer.ggml.tokens': null } } },
  ),
  asks(
    '2.6 show: verbose has them',
    { path: '/api/show', body: { model: talker, verbose: true } },
    { status: 200, json: { model_info: { 'tokenizer.ggml.tokens': anArray } } },
  ),
  asks(
    '2.6 show: an embedding model',
    { path: '/api/show', body: { model: embedder } },
    { status: 200, json: { capabilities: ['embedding'] } },
  ),
  asks(
    '2.6 show: for Copilot',
    { path: '/api/show', body: { model: talker }, headers: { 'user-agent': 'GitHubCopilotChat/1' } },
    { status: 200, json: { model_info: { 'general.basename': talker } } },
  ),

  ...rows(
    [
      '2.6 copy, show and delete',
      async (server) => {
        const copied = await server.send({ path: '/api/copy', body: { source: talker, destination: made } })
        expectFit({ status: 200, text: '' }, copied, 'copy')
        expectFit({ status: 200 }, await server.send({ path: '/api/show', body: { model: made } }), 'show')
        const removed = await server.send({ method: 'DELETE', path: '/api/delete', body: { name: made } })
        expectFit({ status: 200, text: '' }, removed, 'delete')
        expectFit(
          { status: 404 },
          await server.send({ path: '/api/show', body: { model: made } }),
          'show afterwards',
        )
      },
    ],
    [
      '2.6 blobs: uploaded once',
      async (server) => {
        const content = `conformance ${Date.now()}`
        const path = `/api/blobs/${digestOf(content)}`
        expectFit({ status: 404 }, await server.send({ method: 'HEAD', path }), 'before')
        expectFit({ status: 201 }, await server.send({ method: 'POST', path, body: content }), 'new')
        expectFit({ status: 200 }, await server.send({ method: 'HEAD', path }), 'after')
        expectFit({ status: 200 }, await server.send({ method: 'POST', path, body: content }), 'again')
      },
    ],
    [
      '2.7 create: from a model, by its steps',
      async (server) => {
        const steps = await progress(server, '/api/create', {
          model: made,
          from: talker,
          system: 'New.',
          parameters: { seed: 7 },
        })
        const statuses = steps.map(({ status }) => String(status))
        expectFit(
          true,
          statuses.some((status) => /^using existing layer sha256:[0-9a-f]{64}$/.test(status)),
          'existing layers',
        )
        expectFit(
          true,
          statuses.some((status) => /^creating new layer sha256:[0-9a-f]{64}$/.test(status)),
          'new layers',
        )
        expectFit(['writing manifest', 'success'], statuses.slice(-2), 'last steps')
        const shown = (await server.send({ path: '/api/show', body: { model: made } })).json()
        expectFit(
          { system: 'New.', parameters: /^seed {27}7$/m, license: 'MIT', template: /\{\{/ },
          shown,
          'the model',
        )
      },
    ],
    [
      '2.7 create: only the last step where it is not to stream',
      async (server) => {
        const reply = await server.send({
          path: '/api/create',
          body: { model: made, from: talker, stream: false },
        })
        expectFit({ status: 200, headers: { 'content-type': 'application/json' } }, reply, 'reply')
        expectFit({ status: 'success' }, reply.json(), 'step')
        await server.send({ method: 'DELETE', path: '/api/delete', body: { model: made } })
      },
    ],
    [
      '2.7 push: of a model that is not here',
      async (server) => {
        const steps = await progress(server, '/api/push', { model: 'conformance/none' })
        expectFit({ status: 'retrieving manifest' }, steps[0], 'first step')
        expectFit({ error: aFullText }, steps.at(-1), 'last step')
      },
    ],
    [
      '2.7 pull: from nowhere ends with an error',
      async (server) => {
        const steps = await progress(server, '/api/pull', { model: 'http://127.0.0.1:1/a/b', insecure: true })
        expectFit({ status: 'pulling manifest' }, steps[0], 'first step')
        expectFit({ error: /^pull model manifest: / }, steps.at(-1), 'last step')
      },
    ],
    [
      '2.7 pull: the same whole, with status 500',
      async (server) => {
        const reply = await server.send({
          path: '/api/pull',
          body: { model: 'http://127.0.0.1:1/a/b', insecure: true, stream: false },
        })
        expectFit({ status: 500 }, reply, 'reply')
        expectFit({ error: /^pull model manifest: / }, reply.json(), 'body')
      },
    ],
  ),
  create('from nothing', {}, 400, "neither 'from' or 'files' was specified"),
  create(
    'from no files',
    { files: {} },
    400,
    /no files provided to convert|neither 'from' or 'files' was specified/,
  ),
  create('from a path above', { files: { '../x.gguf': digestOf('x') } }, 400, 'file path must be relative'),
  create(
    'to an unknown type',
    { from: talker, quantize: 'q3_x' },
    500,
    /^unsupported quantization type Q3_X - supported types are F32, F16, Q4_K_S, Q4_K_M, Q8_0$/,
  ),
  create(
    'of a quantised model',
    { from: talker, quantize: 'q4_K_M' },
    500,
    'quantization is only supported for F16, BF16 and F32 models',
  ),
  create('with a bad template', { from: talker, template: '{{ if }}' }, 400, /^template error: /),
  create(
    'with info of another type',
    { from: talker, info: { context_length: 'x' } },
    400,
    /^info field "context_length" must be a /,
  ),
  create(
    'with a draft that is to be quantised and is not there',
    { from: talker, draft_quantize: 'q8_0' },
    400,
    '--draft-quantize requires a DRAFT model',
  ),
  ...['a/b/c/d', 'a:b:c', '-a', 'a b', 'a..b/../c', 'x'.repeat(81), 'a@b'].map((name) =>
    asks(
      `4.1 the name ${name.slice(0, 20)} is none`,
      { path: '/api/show', body: { model: name } },
      { status: 400, json: { error: 'invalid model name' } },
      { status: 404 },
    ),
  ),
  ...[
    `registry.ollama.ai/${talker}`,
    `${talker}:latest`,
    `https://registry.ollama.ai/${talker}:latest`,
    `${talker}:local`,
  ].map((name) =>
    asks(
      `4.1 the name ${name} is the same model`,
      { path: '/api/show', body: { model: name } },
      { status: 200 },
    ),
  ),
]
