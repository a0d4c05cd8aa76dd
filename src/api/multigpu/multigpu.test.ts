import { describe, expect, it } from 'vitest'
import { DroverError } from '../../inference/index.ts'
import { replay, testApi } from '../testing/double.ts'
import type { MigrateWish, Move, MultiGpuControl } from './control.ts'

const move: Move = {
  id: 1,
  model: 'tiny:latest',
  from: ['cpu'],
  to: ['cpu'],
  reason: 'somebody asked',
  state: 'planned',
}

const speculation = { draftTokens: 90, acceptedTokens: 60, verdict: 'unknown', switchedOff: false } as const

/** A control by hand: the real one has tests of its own, and those through the port. */
function handControl() {
  const migrated: MigrateWish[] = []
  const rebalanced: boolean[] = []
  const multiGpu: MultiGpuControl = {
    status: () => ({
      instances: [
        {
          instance: 7,
          model: 'tiny:latest',
          engine: 'llama.cpp',
          state: 'ready',
          strategy: 'pipeline',
          slots: 4,
          running: 1,
          contextLength: 4096,
          parts: [
            { deviceId: 'a', stage: 0, layers: [0, 10], share: 1, bytes: 100 },
            { deviceId: 'b', stage: 1, layers: [10, 16], share: 1, bytes: 60 },
          ],
          speculation,
        },
      ],
      models: [
        { model: 'tiny:latest', wanted: 2, strategy: 'pipeline', reason: 'the configuration wants it so' },
        { model: 'idle:latest', wanted: 0, strategy: 'single', reason: 'nobody has asked for an hour' },
      ],
      moves: [{ ...move, state: 'starting' }],
      problems: ['GPU1 is slow'],
    }),
    migrate: async (wish) => {
      migrated.push(wish)
      return [move]
    },
    rebalance: async ({ dryRun }) => {
      rebalanced.push(dryRun)
      return []
    },
    undo: async () => {
      throw new DroverError('invalid_request', 'there is nothing to take back')
    },
  }
  return { multiGpu, migrated, rebalanced }
}

async function get(api: ReturnType<typeof testApi>, name: string) {
  const reply = await api.app.inject({ url: `/api/multigpu/${name}` })
  return { status: reply.statusCode, body: JSON.parse(reply.body) }
}

describe('GET /api/multigpu/', () => {
  it('status tells the devices, and how instances lie on them', async () => {
    const { status, body } = await get(testApi({ multiGpu: handControl().multiGpu }), 'status')
    expect(status).toBe(200)
    expect(body.devices).toEqual([
      {
        id: 'cpu',
        label: 'CPU0',
        name: 'Some CPU',
        vendor: 'cpu',
        state: 'ok',
        health: 'healthy',
        used: true,
        memory: { totalBytes: 2 ** 34, modelsBytes: 1234 },
      },
    ])
    expect(body.instances[0].parts[1]).toEqual({
      deviceId: 'b',
      stage: 1,
      layers: [10, 16],
      share: 1,
      bytes: 60,
    })
    expect(body.instances[0].speculation).toEqual(speculation)
    expect(body).toMatchObject({ moves: [{ state: 'starting' }], problems: ['GPU1 is slow'] })
  })

  it('models tells what is wanted beside what runs', async () => {
    const { body } = await get(testApi({ multiGpu: handControl().multiGpu }), 'models')
    expect(body.models).toEqual([
      {
        model: 'idle:latest',
        wanted: 0,
        running: 0,
        loading: 0,
        strategy: 'single',
        reason: 'nobody has asked for an hour',
        slots: 0,
        memoryBytes: 0,
        devices: [],
      },
      {
        model: 'tiny:latest',
        wanted: 2,
        running: 1,
        loading: 0,
        strategy: 'pipeline',
        reason: 'the configuration wants it so',
        slots: 4,
        memoryBytes: 160,
        devices: ['a', 'b'],
      },
    ])
  })

  it('performance counts what was answered through any dialect', async () => {
    const api = testApi()
    await api.post('/api/generate', { model: 'tiny', prompt: 'hello' })
    await api.post('/v1/completions', { model: 'tiny', prompt: 'hello' })
    const { body } = await get(api, 'performance')
    expect(body.throughput.promptTokensPerSecond * body.windowSeconds).toBeCloseTo(14)
    expect(body.throughput.outputTokensPerSecond * body.windowSeconds).toBeCloseTo(6)
    expect(body.latency.ttftMs.p99).toBeGreaterThan(0)
    expect(body.devices).toEqual([
      { id: 'cpu', label: 'CPU0', memory: { totalBytes: 2 ** 34, modelsBytes: 1234 }, running: 1 },
    ])
  })

  it('performance counts what was refused and what broke off', async () => {
    const failure = new DroverError('insufficient_memory', 'too large')
    const refused = testApi({ script: replay(failure) })
    expect((await refused.post('/api/generate', { model: 'tiny', prompt: 'hello' })).statusCode).toBe(500)
    const broken = testApi({ script: replay({ type: 'token', text: 'Hi' }, failure) })
    await broken.post('/api/generate', { model: 'tiny', prompt: 'hello' })
    await broken.post('/api/generate', { model: 'tiny', prompt: 'hello', stream: false })
    expect((await get(refused, 'performance')).body).toMatchObject({
      failures: 1,
      throughput: { running: 0 },
    })
    expect((await get(broken, 'performance')).body).toMatchObject({ failures: 2, throughput: { running: 0 } })
  })

  it('topology tells the devices', async () => {
    const { body } = await get(testApi(), 'topology')
    expect(body).toEqual({
      devices: [{ id: 'cpu', label: 'CPU0', name: 'Some CPU', vendor: 'cpu', kind: 'cpu' }],
      links: [],
    })
  })

  it('status and models are told by the devices where the engine lays out its models itself', async () => {
    const api = testApi()
    expect((await get(api, 'status')).body.instances).toEqual([
      {
        instance: 7,
        model: 'tiny:latest',
        engine: 'embedded',
        state: 'ready',
        slots: 4,
        running: 1,
        strategy: 'single',
        parts: [{ deviceId: 'cpu', bytes: 1234, stage: 0, share: 1 }],
      },
    ])
    expect((await get(api, 'models')).body.models).toMatchObject([
      { model: 'tiny:latest', wanted: 0, running: 1 },
    ])
  })
})

describe('POST /api/multigpu/', () => {
  it('migrate finds the model and its devices, whatever they are called', async () => {
    const { multiGpu, migrated } = handControl()
    const { post } = testApi({ multiGpu })
    const reply = await post('/api/multigpu/migrate', { model: 'TINY', to: [0, 'cpu0'], dry_run: true })
    expect([reply.statusCode, JSON.parse(reply.body)]).toEqual([200, { dryRun: true, moves: [move] }])
    await post('/api/multigpu/migrate', { model: 'tiny', to: ['cpu'], instance: 7 })
    const divided = { strategy: 'pipeline_parallel', pipeline_size: 2 }
    await post('/api/multigpu/migrate', { model: 'tiny', to: ['cpu'], ...divided })
    expect(migrated).toEqual([
      { model: 'tiny:latest', to: ['cpu'], dryRun: true },
      { model: 'tiny:latest', to: ['cpu'], dryRun: false, instance: 7 },
      { model: 'tiny:latest', to: ['cpu'], dryRun: false, strategy: 'pipeline', pipelineSize: 2 },
    ])
  })

  it('rebalance changes something only where it is not a dry run', async () => {
    const { multiGpu, rebalanced } = handControl()
    const { post } = testApi({ multiGpu })
    expect(JSON.parse((await post('/api/multigpu/rebalance', { dry_run: true })).body)).toEqual({
      dryRun: true,
      moves: [],
    })
    await post('/api/multigpu/rebalance', {})
    expect((await post('/api/multigpu/rebalance', '')).statusCode).toBe(200)
    expect(rebalanced).toEqual([true, false, false])
  })

  it.each([
    ['migrate', {}, 400, 'model is required'],
    ['migrate', { model: 'tiny' }, 400, 'to is required: the devices that the model is to lie on'],
    ['migrate', { model: 'other', to: ['cpu'] }, 404, "model 'other' not found"],
    [
      'migrate',
      { model: 'tiny', to: ['cpu:9'] },
      400,
      'to: there is no device \\"cpu:9\\"; there are: CPU0 (cpu)',
    ],
    ['migrate', { model: 'tiny', to: [1.5] }, 400, 'invalid to: 1.5'],
    ['migrate', { model: 'tiny', to: ['cpu'], strategy: 'both' }, 400, 'invalid strategy: \\"both\\"'],
    [
      'migrate',
      { model: 'tiny', to: ['cpu'], tensor_size: 0 },
      400,
      'tensor_size must be a whole number from 1',
    ],
    ['migrate', '{"model":', 400, 'unexpected EOF'],
    ['undo', {}, 400, 'there is nothing to take back'],
  ])('%s with %j is refused', async (name, body, status, words) => {
    const { multiGpu, migrated } = handControl()
    const reply = await testApi({ multiGpu }).post(`/api/multigpu/${name}`, body)
    expect([reply.statusCode, reply.body]).toEqual([status, expect.stringContaining(words)])
    expect(migrated).toEqual([])
  })

  it('is refused where the engine lays out its models itself', async () => {
    const { post } = testApi()
    const reply = await post('/api/multigpu/rebalance', {})
    expect([reply.statusCode, reply.body]).toEqual([
      400,
      expect.stringContaining('its engine places them itself'),
    ])
  })
})
