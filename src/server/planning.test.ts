import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { makePlan } from '../api/index.ts'
import { loadConfig } from '../config/index.ts'
import { openStore } from '../models/index.ts'
import { createLogger } from '../observability/index.ts'
import { parseGpuList } from '../placement/index.ts'
import { createPlanSources } from './planning.ts'

it('plans for this machine go by the section multi_gpu, unless the request says otherwise; others do not', async () => {
  const yaml = 'multi_gpu: {strategy: pipeline, pipeline_parallel: {size: 3}, tensor_parallel: {size: 2}}'
  const sources = { env: {}, flags: { config: 'a' }, homeDir: '/', cwd: '/', readFile: () => yaml }
  const { config } = loadConfig(sources)
  const log = createLogger({ level: 'error', pretty: false, destination: { write: () => undefined } })
  const root = mkdtempSync(join(tmpdir(), 'drover-planning-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const store = await openStore({ root, log, prunes: false })
  const never = () => Promise.reject(new Error('nobody asks for this machine'))
  const { correctionsFor: _, opinionOf: __, ...found } = createPlanSources(config, store, never, log)
  const plans = {
    ...found,
    commandsOf: async () => () => undefined,
    machines: async () => parseGpuList('4x4090'),
  }
  const stages = async (request: Parameters<typeof makePlan>[0]) => {
    const report = await makePlan(request, plans)
    const [instance] = report.ok ? report.plans[0].instances : []
    return [instance?.tensorSize, instance?.pipelineSize]
  }
  const model = 'llama3.1:8b'
  expect(await stages({ model, wishes: {} })).toEqual([1, 3])
  expect(await stages({ model, wishes: { strategy: 'tensor' } })).toEqual([2, 1])
  expect(await stages({ model, wishes: {}, inventory: parseGpuList('4x4090') })).not.toEqual([1, 3])
})
