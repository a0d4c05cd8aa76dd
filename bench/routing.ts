/**
 * Routing policies against each other, SIMULATED: Drover's routing code on a virtual clock with modelled instances.
 * Recorded traces are taken from beside the project (`DROVER_DATA`); where one is absent its part is left out.
 *
 *   node bench/routing.ts [--seeds 3] [--policy all] [--only conversation|azure|mixed]
 *
 * Modelled: 8 H200 (141 GB, 4.8 TB/s, 989 TFLOPS of bf16) by the roofline of `src/simulation/engine/roofline.ts`, each
 * with a model of 8 billion parameters and its KV cache in 8 bits (64 KiB a token, 2.1 million tokens an instance),
 * 128 slots, prefill in chunks of 2048 tokens. Load is what the requests would take if each were computed from
 * scratch, as a share of what the instances can do.
 */
import { availableParallelism } from 'node:os'
import { parseArgs } from 'node:util'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import {
  clusterOf,
  type RouterName,
  type Row,
  readTrace,
  routerNames,
  runExperiment,
} from '../src/simulation/index.ts'
import { sharedData } from '../test/support/shared-data.ts'
import { machineLine } from './support/process.ts'
import { printTable } from './support/stats.ts'

interface Job {
  trace: string
  cluster: unknown
  router: RouterName
  load: number
  seeds: number
}

const device = {
  name: 'H200',
  memoryGBs: 4800,
  tflops: 989,
  memoryGiB: 141,
  model: { params: 8.03e9, bitsPerWeight: 8, kvBytesPerToken: 65_536 },
}
const alike = { groups: [{ ...device, count: 8 }] }
const mixed = {
  groups: [
    { ...device, count: 7 },
    { ...device, name: 'slow', speed: 0.25 },
  ],
}
const loads = [0.5, 0.7, 0.9]
const compared: RouterName[] = ['predicted_finish', 'least_loaded', 'round_robin', 'kv_cost']

if (isMainThread) await main()
else await work()

/** A thread: one job after the other. */
async function work(): Promise<void> {
  const traces = new Map<string, ReturnType<typeof readTrace>>()
  const port = parentPort
  port?.on('message', async ({ trace, cluster, router, load, seeds }: Job) => {
    const reading = traces.get(trace) ?? readTrace(trace)
    traces.set(trace, reading)
    const { rows } = runExperiment({
      trace: await reading,
      cluster: clusterOf(cluster),
      routers: [router],
      loads: [load],
      seeds,
      objective: { ttftMs: 1000, itlMs: 50 },
    })
    port.postMessage(rows[0])
  })
}

async function main(): Promise<void> {
  const { values: flags } = parseArgs({
    options: {
      seeds: { type: 'string', default: '3' },
      policy: { type: 'string', default: 'all' },
      only: { type: 'string' },
    },
  })
  const seeds = Number(flags.seeds)
  const wanted = (part: string) => flags.only === undefined || flags.only === part
  const routers = routerNames.filter(
    (name) => flags.policy === 'all' || flags.policy.split(',').includes(name),
  )
  console.log(
    `${machineLine()}\nSIMULATED, no measurement: 8 modelled H200, 8 billion parameters; ${seeds} seeds\n`,
  )
  const run = startWorkers()
  const mooncake = sharedData('traces/mooncake/conversation_trace.jsonl')
  if (mooncake && wanted('conversation')) {
    const rows = await run.all(jobs(mooncake, alike, routers, loads, seeds))
    conversationReport(rows)
  }
  for (const name of ['code', 'conv']) {
    const path = sharedData(`traces/azure/AzureLLMInferenceTrace_${name}.csv`)
    if (!path || !wanted('azure')) continue
    // Its times are exact: nothing differs from seed to seed.
    const rows = await run.all(jobs(path, alike, compared, loads, 1))
    console.log(`\nAzure 2023, ${name} (no shared prefixes), against least_loaded\n`)
    table(rows, 'least_loaded')
  }
  if (mooncake && wanted('mixed')) {
    // Beyond a load of 0.27 round_robin gives the slow device more than it can do, and its queue grows without end.
    const light = await run.all(jobs(mooncake, mixed, compared, [0.1, 0.2, 0.25], seeds))
    console.log('\nMooncake conversation, one of the eight devices 4 times slower, against round_robin\n')
    table(light, 'round_robin')
    const stable = compared.filter((name) => name !== 'round_robin')
    const rows = await run.all(jobs(mooncake, mixed, stable, loads, seeds))
    console.log('\nThe same at loads that round_robin cannot keep up with, against least_loaded\n')
    table(rows, 'least_loaded')
  }
  run.close()
}

function jobs(
  trace: string,
  cluster: unknown,
  routers: readonly RouterName[],
  atLoads: readonly number[],
  seeds: number,
): Job[] {
  return atLoads.flatMap((load) => routers.map((router) => ({ trace, cluster, router, load, seeds })))
}

/** As many threads as there are cores, each with one job at a time. */
function startWorkers() {
  const workers = Array.from(
    { length: Math.min(4, availableParallelism()) },
    () => new Worker(new URL(import.meta.url)),
  )
  const one = (worker: Worker, job: Job) =>
    new Promise<Row>((resolve, reject) => {
      worker.once('error', reject)
      worker.once('message', (row: Row) => {
        worker.off('error', reject)
        resolve(row)
      })
      worker.postMessage(job)
    })
  const all = async (list: readonly Job[]): Promise<Row[]> => {
    const rows: Row[] = []
    let next = 0
    const drain = async (worker: Worker) => {
      for (let at = next++; at < list.length; at = next++) rows[at] = await one(worker, list[at] as Job)
    }
    await Promise.all(workers.map(drain))
    return rows
  }
  return { all, close: () => workers.forEach((worker) => void worker.terminate()) }
}

function conversationReport(rows: readonly Row[]): void {
  console.log('Mooncake conversation, 8 alike devices, against round_robin\n')
  table(rows, 'round_robin')
  console.log()
  const asked: string[][] = [
    [
      'load',
      'mean: best of the others',
      'p99: best of the others',
      'mean of round_robin',
      'hits of omniscient',
    ],
  ]
  for (const load of loads) {
    const ofLoad = rows.filter((row) => row.load === load)
    const ours = ofLoad.find(({ router }) => router === 'predicted_finish')
    const find = (router: RouterName) => ofLoad.find((row) => row.router === router)
    if (!ours) continue
    // Without deadlines latency_target is predicted_finish; the omniscient router is no policy.
    const same: RouterName[] = ['predicted_finish', 'latency_target', 'omniscient']
    const others = ofLoad.filter(({ router }) => !same.includes(router))
    const least = (of: (row: Row) => number) => {
      const best = others.toSorted((a, b) => of(a) - of(b))[0]
      return best ? `${(of(ours) / of(best)).toFixed(3)} (${best.router})` : '-'
    }
    asked.push([
      load.toString(),
      least(({ summary }) => summary.ttftMs.mean),
      least(({ summary }) => summary.ttftMs.p99),
      ratio(ours.summary.ttftMs.mean, find('round_robin')?.summary.ttftMs.mean),
      ratio(ours.summary.cacheHitShare, find('omniscient')?.summary.cacheHitShare),
    ])
  }
  console.log('predicted_finish in proportion to\n')
  printTable(asked)
}

function table(rows: readonly Row[], base: RouterName): void {
  const lines = rows.map(({ router, load, summary }) => {
    const { ttftMs, endToEndMs, itlMs, cacheHitShare, goodput, predictionError } = summary
    const of = rows.find((row) => row.router === base && row.load === load)?.summary.ttftMs
    return [
      load?.toString() ?? '',
      router,
      ttftMs.mean.toFixed(0),
      ratio(ttftMs.mean, of?.mean),
      ttftMs.p99.toFixed(0),
      ratio(ttftMs.p99, of?.p99),
      itlMs.mean.toFixed(1),
      endToEndMs.mean.toFixed(0),
      `${(cacheHitShare * 100).toFixed(1)} %`,
      `${(goodput.share * 100).toFixed(1)} %`,
      `${(predictionError.ttft.p50 * 100).toFixed(0)} %`,
    ]
  })
  printTable([
    [
      'load',
      'policy',
      'TTFT ms',
      `of ${base}`,
      'p99 ms',
      `of ${base}`,
      'ITL ms',
      'whole ms',
      'hits',
      'good',
      'TTFT off by',
    ],
    ...lines,
  ])
}

function ratio(part: number, whole: number | undefined): string {
  return whole ? (part / whole).toFixed(3) : '-'
}
