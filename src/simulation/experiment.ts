import { quantile } from '../core/index.ts'
import { type PolicyName, policyNames } from '../routing/index.ts'
import { pooledHitShare } from './bounds.ts'
import type { Cluster } from './cluster.ts'
import { meanOf, type Objective, type Summary, sorted, summarise, ttftOf } from './report/summary.ts'
import { droverRouter, omniscientRouter } from './router.ts'
import { simulate } from './run.ts'
import type { Trace } from './traces/index.ts'
import { workloadOf } from './workload.ts'

/** Every policy, and a router that sees into every cache. */
export const routerNames = [...policyNames, 'omniscient'] as const

export type RouterName = (typeof routerNames)[number]

export interface ExperimentOptions {
  trace: Trace
  cluster: Cluster
  routers: readonly RouterName[]
  /** Shares of the cluster's capacity; empty: the trace's own times, or `rate`. */
  loads: readonly number[]
  rate?: number
  seeds: number
  objective: Objective
  /** Called before each run. */
  onRun?: (done: number, all: number) => void
}

/** One router at one load, the mean over the seeds. */
export interface Row {
  router: RouterName
  load?: number
  summary: Summary
  bySeed: Summary[]
  /** Times to first token at even shares of the requests, from the shortest to the longest, over all seeds. */
  ttftQuantilesMs: number[]
}

export interface Experiment {
  rows: Row[]
  /** Share of prompt tokens that one cache with all memory together would find. */
  pooledHitShare: number
}

const quantileCount = 200

/** Every router at every load with every seed, one run after the other. */
export function runExperiment(options: ExperimentOptions): Experiment {
  const { trace, cluster, routers, seeds, onRun } = options
  const engines = cluster.instances.map(({ engine }) => engine)
  const loads = options.loads.length > 0 ? options.loads : [undefined]
  const rows: Row[] = []
  const all = loads.length * routers.length * seeds
  let done = 0
  for (const load of loads) {
    for (const router of routers) {
      const bySeed: Summary[] = []
      const ttfts: number[] = []
      for (let seed = 1; seed <= seeds; seed++) {
        onRun?.(done++, all)
        const run = simulate({
          cluster,
          requests: workloadOf(trace, engines, {
            seed,
            ...(load !== undefined && { load }),
            ...(options.rate !== undefined && { rate: options.rate }),
          }),
          blockTokens: trace.blockTokens,
          router: routerNamed(router, seed, trace.blockTokens),
          routerName: router,
          seed,
        })
        bySeed.push(summarise(run, options.objective))
        for (const one of run.requests) if (one.doneMs > 0) ttfts.push(ttftOf(one))
      }
      sorted(ttfts)
      rows.push({
        router,
        ...(load !== undefined && { load }),
        summary: meanOf(bySeed),
        bySeed,
        ttftQuantilesMs: Array.from({ length: quantileCount + 1 }, (_, at) =>
          quantile(ttfts, at / quantileCount),
        ),
      })
    }
  }
  return { rows, pooledHitShare: pooledHitShare(trace.requests, engines, trace.blockTokens) }
}

function routerNamed(name: RouterName, seed: number, blockTokens: number) {
  return name === 'omniscient'
    ? omniscientRouter()
    : droverRouter(name satisfies PolicyName, seed, blockTokens)
}
