/**
 * What the prefix index costs, in time and memory, as records and instances grow. A record is a block that an instance
 * holds; every instance holds a system prompt of 4 blocks, and prompts of 250 blocks are spread over them until there
 * are as many records as wanted.
 *
 *   node bench/prefix-index.ts [--records 10000,100000,1000000] [--instances 10,100,1000] [--rounds 20000]
 */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createPrefixIndex, idBlocks, textBlocks } from '../src/routing/prefix/index.ts'
import { machineLine, residentBytes } from './support/process.ts'
import { median, percentile, printTable } from './support/stats.ts'

const promptBlocks = 250
const systemBlocks = 4
/** More than full runs take, so that nothing is evicted unless that is what is measured. */
const bytesPerRecord = 32

const { values: flags } = parseArgs({
  options: {
    records: { type: 'string', default: '10000,100000,1000000' },
    instances: { type: 'string', default: '10,100,1000' },
    rounds: { type: 'string', default: '20000' },
    /** Measures one case, in a process of its own, and prints it as JSON. */
    case: { type: 'boolean', default: false },
  },
})
const rounds = Number(flags.rounds)
const listOf = (flag: string) => flag.split(',').map(Number)

interface Times {
  p50: number
  p99: number
  mean: number
}

interface Case {
  match: Times
  matchAll: Times
  heldBy: Times
  insertKnown: Times
  /** With the budget used up: as much is evicted as comes in. */
  insertNew: Times
  forgetPerRecordNs: number
  records: number
  statedBytes: number
  measuredBytes: number
}

const system = Array.from({ length: systemBlocks }, (_, at) => at)
function promptOf(which: number) {
  const own = Array.from({ length: promptBlocks - systemBlocks }, (_, at) => 1000 * (which + 1) + at)
  return idBlocks([...system, ...own], 'bench', 64, promptBlocks * 64)
}

/** Times in microseconds of work on one prompt after another, each made (and so in the CPU's cache) just before. */
function timed(
  prompts: () => number,
  work: (prompt: ReturnType<typeof promptOf>, which: number) => void,
): Times {
  const times: number[] = []
  for (let round = -rounds / 10; round < rounds; round++) {
    const which = prompts()
    const prompt = promptOf(which)
    const startedMs = performance.now()
    work(prompt, which)
    if (round >= 0) times.push((performance.now() - startedMs) * 1000)
  }
  const mean = times.reduce((sum, time) => sum + time, 0) / times.length
  return { p50: median(times), p99: percentile(times, 0.99), mean }
}

function settledBytes(): number {
  globalThis.gc?.()
  return residentBytes(process.pid).anonymous
}

function fill(records: number, instances: number, budgetBytes: number) {
  const index = createPrefixIndex({ budgetBytes, maxAgeMs: 3_600_000 })
  for (let id = 0; id < instances; id++) index.insert(id, idBlocks(system, 'bench', 64, systemBlocks * 64), 0)
  let prompts = 0
  for (let stats = index.stats(); stats.records + stats.evicted < records; stats = index.stats()) {
    index.insert(prompts % instances, promptOf(prompts), 0)
    prompts++
  }
  return { index, prompts }
}

function measure(records: number, instances: number): Case {
  // The code is compiled and the heap as large as it gets before memory is looked at.
  fill(Math.max(records, 300_000), instances, 2_000_000)
  const beforeBytes = settledBytes()
  const { index, prompts } = fill(records, instances, records * bytesPerRecord + 1_000_000)
  const measuredBytes = settledBytes() - beforeBytes
  const { bytes: statedBytes, records: held } = index.stats()

  const any = () => Math.floor(Math.random() * prompts)
  const match = timed(any, (prompt) => index.match(prompt, 1, 16))
  const heldBy = timed(any, (prompt, which) => index.heldBy(which % instances, prompt, 1))
  const insertKnown = timed(any, (prompt, which) => index.insert(which % instances, prompt, 1))
  const matchAll = timed(any, (prompt) => index.match(prompt, 1))

  const of0 = index.stats().records
  const startedMs = performance.now()
  index.forget(0)
  const forgetMs = performance.now() - startedMs
  const forgetPerRecordNs = (forgetMs * 1e6) / (of0 - index.stats().records)

  const full = fill(2 * records, instances, statedBytes)
  let next = full.prompts
  const insertNew = timed(
    () => next++,
    (prompt, which) => full.index.insert(which % instances, prompt, 2),
  )
  const times = { match, matchAll, heldBy, insertKnown, insertNew }
  return { ...times, forgetPerRecordNs, records: held, statedBytes, measuredBytes }
}

function measureApart(records: number, instances: number): Case {
  const file = fileURLToPath(import.meta.url)
  const args = ['--case', '--records', records, '--instances', instances, '--rounds', rounds].map(String)
  const { stdout, stderr, status } = spawnSync(process.execPath, ['--expose-gc', file, ...args], {
    encoding: 'utf8',
  })
  if (status !== 0) throw new Error(`${records} records, ${instances} instances: ${stderr}`)
  return JSON.parse(stdout)
}

function printAll(): void {
  console.log(`${machineLine()}; prompts of ${promptBlocks} blocks, ${rounds} of each\n`)
  const sizes = listOf(flags.records)
  const cases = sizes.flatMap((records) =>
    listOf(flags.instances).map((instances) => ({
      records,
      instances,
      result: measureApart(records, instances),
    })),
  )
  const first = cases[0]
  if (!first) throw new Error('there is nothing to measure: give --records and --instances')
  const cell = ({ p50, p99 }: Times) => `${p50.toFixed(1)} / ${p99.toFixed(1)}`
  console.log('Microseconds, median / p99; a match names at most 16 instances, or all.\n')
  const heads = ['match', 'match all', 'heldBy', 'insert known', 'insert new, full', 'new, mean']
  printTable([
    ['records', 'instances', ...heads, 'forget, ns a record'],
    ...cases.map(({ records, instances, result }) => [
      String(records),
      String(instances),
      ...[result.match, result.matchAll, result.heldBy, result.insertKnown, result.insertNew].map(cell),
      result.insertNew.mean,
      result.forgetPerRecordNs,
    ]),
  ])

  console.log(`
How medians grow, as ratios to the first row. The work is the same in every row: what grows is the share of the memory
that lies outside the CPU's caches. The last column is what the logarithm of both would allow.
`)
  printTable([
    ['records', 'instances', 'match', 'heldBy', 'insert known', 'insert new', 'log records x log instances'],
    ...cases.map(({ records, instances, result }) => [
      String(records),
      String(instances),
      ...(['match', 'heldBy', 'insertKnown', 'insertNew'] as const).map(
        (name) => result[name].p50 / first.result[name].p50,
      ),
      (Math.log(records) / Math.log(first.records)) * (Math.log(instances) / Math.log(first.instances)),
    ]),
  ])

  const large = cases.filter(({ result }) => result.statedBytes > 10e6)
  console.log(
    '\nMemory: what the index states, and what the process grew by (below 10 MB the heap moves more than that).\n',
  )
  printTable([
    ['records', 'instances', 'stated MB', 'measured MB', 'stated / measured', 'bytes a record'],
    ...large.map(({ records, instances, result }) => [
      String(records),
      String(instances),
      result.statedBytes / 1e6,
      result.measuredBytes / 1e6,
      result.statedBytes / result.measuredBytes,
      result.statedBytes / result.records,
    ]),
  ])

  const text = 'A prompt of a hundred thousand bytes, cut and hashed. '.repeat(1852).slice(0, 100_000)
  const options = { salt: 'anna', blockBytes: 256, bytesPerToken: 4 }
  const hashing = timed(
    () => 0,
    () => textBlocks(text, options),
  )
  console.log(`\nBlocks of a prompt of 100 kB: ${cell(hashing)} microseconds.`)
}

if (flags.case) process.stdout.write(JSON.stringify(measure(Number(flags.records), Number(flags.instances))))
else printAll()
