import { describe, expect, it } from 'vitest'
import type { Inventory, Plan, PlanResult } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { famousModel } from './famous-models.ts'
import { planModel } from './plan.ts'
import type { Answer } from './situation.fixture.ts'
import { machineSituations } from './situations-machines.fixture.ts'
import { wishSituations } from './situations-wishes.fixture.ts'

const situations = [...machineSituations, ...wishSituations]

describe('a plan is what an expert would answer', () => {
  for (const { title, model, fileType, machines, wishes = {}, answer } of situations) {
    it(title, () => {
      const inventory = typeof machines === 'string' ? parseGpuList(machines) : machines
      const result = planModel(
        typeof model === 'string' ? famousModel(model, fileType) : model,
        inventory,
        wishes,
      )
      if ('refused' in answer) expect(refusalOf(result)).toMatch(answer.refused)
      else check(inventory, planOf(result), answer)
    })
  }

  it('and there are enough of them', () => {
    expect(situations.length).toBeGreaterThanOrEqual(30)
  })
})

function planOf(result: PlanResult): Plan {
  if (!result.ok) throw new Error(result.message)
  return result.plans[0]
}

function refusalOf(result: PlanResult): string {
  if (result.ok) throw new Error(`planned: ${result.plans[0].reasons.join(' ')}`)
  return result.message
}

function check(inventory: Inventory, { strategy, instances, speed }: Plan, answer: Answer): void {
  const [first] = instances
  if (!first) throw new Error('a plan without instances')
  const cards = first.parts.filter(({ kind }) => kind === 'gpu')
  const seen: Answer = {
    strategy,
    engine: first.engine,
    instances: instances.length,
    devices: cards.length,
    names: cards
      .map(({ deviceId }) => inventory.devices.find(({ id }) => id === deviceId)?.name ?? '')
      .sort(),
    tensorSize: first.tensorSize,
    pipelineSize: first.pipelineSize,
    nodes: new Set(first.parts.map(({ node }) => node)).size,
    host: hostOf(first),
    context: first.contextLength,
    ids: cards.map(({ deviceId }) => deviceId),
  }
  const { atLeastTokensPerS = 0, atMostTokensPerS = Number.POSITIVE_INFINITY, ...wanted } = answer
  expect(seen).toMatchObject(wanted)
  expect(speed.decodeTokensPerS).toBeGreaterThan(atLeastTokensPerS)
  expect(speed.decodeTokensPerS).toBeLessThan(atMostTokensPerS)
}

function hostOf({ parts }: Plan['instances'][number]): NonNullable<Answer['host']> {
  if (parts.every(({ kind }) => kind === 'cpu')) return 'all'
  if (parts.some(({ kind }) => kind === 'cpu')) return 'layers'
  return parts.some(({ hostExperts }) => hostExperts.length > 0) ? 'experts' : 'nothing'
}
