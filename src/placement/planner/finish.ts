import type { Plan, Strategy } from '../contract.ts'
import { speedOf } from '../speed/index.ts'
import type { Candidate, Search } from './candidate.ts'
import { lengthen } from './fit-layout.ts'
import { devicesOf } from './layout.ts'
import { usedStages } from './rank.ts'
import { reasonsOf } from './reasons.ts'
import { replicate } from './replicas.ts'

/** A chosen layout as a plan: with the longest context that fits, and its replicas. */
export function finish(search: Search, chosen: Candidate): Plan {
  const { model, world, wishes } = search
  const fitted = lengthen(search, chosen)
  const first = { ...fitted, layout: { ...fitted.layout, stages: usedStages(fitted) } }
  const candidates = replicate(search, first, replicasWanted(search))
  const instances = candidates.map(({ instance }) => instance)
  const speed = speedOf(instances, first.costs, world.inventory, model, wishes)
  const strategy = strategyOf(first, candidates.length, wishes.strategy)
  return { strategy, model: model.name, instances, speed, reasons: reasonsOf(search, first, candidates) }
}

function replicasWanted({ wishes }: Search): number | undefined {
  const { strategy, replicas, algorithm } = wishes
  if (strategy === 'single' || strategy === 'tensor' || strategy === 'pipeline') return replicas ?? 1
  if (algorithm === 'power_aware') return replicas ?? 1
  return replicas
}

function strategyOf({ layout, instance }: Candidate, count: number, asked: Strategy | undefined): Strategy {
  const devices = devicesOf(layout).length
  if (count > 1) return devices > 1 ? 'hybrid' : 'data'
  if (asked === 'data') return 'data'
  if (instance.tensorSize > 1) return instance.pipelineSize > 1 ? 'hybrid' : 'tensor'
  return instance.pipelineSize > 1 ? 'pipeline' : 'single'
}
