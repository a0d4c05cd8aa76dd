/**
 * What a plan costs, by the size of the cluster: milliseconds of the processor, the first time (code not compiled yet)
 * and the best of ten, and how often the memory model was asked.
 *
 *   node bench/planner.ts
 */
import { costsOf, findFamous, parseGpuList, planAll, planModel } from '../src/placement/index.ts'

const tries = 10
const nodes = (count: number, node: string) => new Array<string>(count).fill(node).join(' / ')

const cases: readonly [title: string, model: string, machines: string][] = [
  ['1 card', 'llama3.1:8b', '3090'],
  ['4 unlike cards', 'llama3.1:70b', '4090,3090,rtx 3060,rx 7900 xtx'],
  ['8 cards, experts in host memory', 'deepseek-r1:671b', '8x3090,cpu:512'],
  ['64 cards in 8 boxes, 126 layers', 'llama3.1:405b', `${nodes(8, '8x3090')} @10gbe`],
  ['1000 cards in 125 boxes, one each', 'llama3.1:8b', nodes(125, '8x3090')],
  ['1000 cards in 125 boxes, groups', 'llama3.1:70b', nodes(125, '8x3090')],
  ['1000 cards in 125 boxes, by RPC', 'llama3.1:405b', nodes(125, '8x3090')],
  ['1000 machines of one card, by RPC', 'llama3.1:70b', nodes(1000, '3090')],
]

console.log(`Planning; processor time, best of ${tries}`)
console.log(`${'case'.padEnd(36)}${'model'.padEnd(18)}first ms  best ms  costs asked  instances`)
for (const [title, name, machines] of cases) {
  const model = findFamous(name)
  if (!model) throw new Error(`no model is known as ${name}`)
  const inventory = parseGpuList(machines)
  let asked = 0
  let instances = 0
  const times = Array.from({ length: tries }, () => {
    asked = 0
    const before = process.cpuUsage()
    const result = planModel(model, inventory, {}, (...args) => {
      asked++
      return costsOf(...args)
    })
    const { user, system } = process.cpuUsage(before)
    instances = result.ok ? result.plans[0].instances.length : 0
    return (user + system) / 1000
  })
  const [first = 0] = times
  console.log(
    `${title.padEnd(36)}${name.padEnd(18)}${first.toFixed(1).padStart(8)} ${Math.min(...times)
      .toFixed(1)
      .padStart(8)} ${String(asked).padStart(12)} ${String(instances).padStart(10)}`,
  )
}

const together = 20
const requests = Array.from({ length: together }, (_, at) => {
  const model = findFamous(at % 4 === 0 ? 'qwen3:32b' : 'llama3.1:8b')
  if (!model) throw new Error('the models of this benchmark are not known')
  return { model: { ...model, name: `${model.name} ${at}` }, wishes: { contextLength: 8192 } }
})
const inventory = parseGpuList(nodes(8, '8x3090'))
const before = process.cpuUsage()
const planned = planAll(requests, inventory).filter(({ ok }) => ok).length
const { user, system } = process.cpuUsage(before)
console.log(
  `\n${planned} of ${together} models at once on 64 cards: ${((user + system) / 1000).toFixed(0)} ms`,
)
