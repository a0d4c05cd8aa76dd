/**
 * What a plan costs, by the size of the cluster: milliseconds of the processor, the first time (code not compiled yet)
 * and the best of ten, and how often the memory model was asked.
 *
 *   node bench/planner.ts
 */
import {
  costsOf,
  findFamous,
  type Inventory,
  parseGpuList,
  planAll,
  planModel,
} from '../src/placement/index.ts'

const tries = 10
const nodes = (count: number, node: string) => new Array<string>(count).fill(node).join(' / ')

/** `times` as many of the devices in the one machine: more than a list of GPUs may name. */
function inOneNode(cards: string, times: number, bridged: boolean): Inventory {
  const one = parseGpuList(cards)
  const devices = Array.from({ length: times }, (_, time) =>
    one.devices.map((device) => ({ ...device, id: `${String(time).padStart(3, '0')}-${device.id}` })),
  ).flat()
  const links = devices.flatMap((a, at) =>
    devices.slice(at + 1).map((b, after) => ({
      a: a.id,
      b: b.id,
      class: bridged && at % 2 === 0 && after === 0 ? ('nvlink' as const) : ('phb' as const),
      bytesPerS: 0,
      latencyS: 0,
    })),
  )
  return { ...one, devices, links }
}

/** No two with as much free memory: up to 4 GB less. */
function unlike(inventory: Inventory): Inventory {
  const devices = inventory.devices.map((device, at) => ({
    ...device,
    usableBytes: Math.floor(device.usableBytes - (((at * 7919) % 1009) / 1009) * 4e9),
  }))
  return { ...inventory, devices }
}

const boxes = parseGpuList(nodes(125, '8x3090'))
const cases: readonly [title: string, model: string, inventory: Inventory][] = [
  ['1 card', 'llama3.1:8b', parseGpuList('3090')],
  ['4 unlike cards', 'llama3.1:70b', parseGpuList('4090,3090,rtx 3060,rx 7900 xtx')],
  ['8 cards, experts in host memory', 'deepseek-r1:671b', parseGpuList('8x3090,cpu:512')],
  ['64 cards in 8 boxes, 126 layers', 'llama3.1:405b', parseGpuList(`${nodes(8, '8x3090')} @10gbe`)],
  ['64 in 8 boxes, unlike memory', 'llama3.1:405b', unlike(parseGpuList(nodes(8, '8x3090')))],
  ['64 in 8 boxes, unlike, groups', 'llama3.1:70b', unlike(parseGpuList(nodes(8, '8x3090')))],
  ['64 in one machine, 126 layers', 'llama3.1:405b', inOneNode('8x3090', 8, false)],
  ['64 in one machine, groups', 'llama3.1:70b', inOneNode('8x3090', 8, false)],
  ['64 in one machine, bridges', 'llama3.1:70b', inOneNode('8x3090', 8, true)],
  ['64 in one machine, unlike memory', 'llama3.1:70b', unlike(inOneNode('8x3090', 8, true))],
  ['1000 cards in 125 boxes, one each', 'llama3.1:8b', boxes],
  ['1000 cards in 125 boxes, groups', 'llama3.1:70b', boxes],
  ['1000 cards in 125 boxes, by RPC', 'llama3.1:405b', boxes],
  ['1000 in boxes, unlike memory', 'llama3.1:70b', unlike(boxes)],
  [
    '1000 in boxes, unlike in all',
    'llama3.1:70b',
    unlike(parseGpuList(nodes(125, '4x3090,2x4090,2xrx 7900 xtx'))),
  ],
  ['960 H200 in 120 boxes, vLLM', 'deepseek-r1:671b-fp8', parseGpuList(nodes(120, '8xh200'))],
  ['the same, unlike memory', 'deepseek-r1:671b-fp8', unlike(parseGpuList(nodes(120, '8xh200')))],
  ['1000 machines of one card, by RPC', 'llama3.1:70b', parseGpuList(nodes(1000, '3090'))],
]

console.log(`Planning; processor time, best of ${tries}`)
console.log(`${'case'.padEnd(36)}${'model'.padEnd(22)}first ms  best ms  costs asked  instances`)
for (const [title, name, inventory] of cases) {
  const model = findFamous(name)
  if (!model) throw new Error(`no model is known as ${name}`)
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
    `${title.padEnd(36)}${name.padEnd(22)}${first.toFixed(1).padStart(8)} ${Math.min(...times)
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
const planned = planAll(requests, inventory).models.filter(({ result }) => result.ok).length
const { user, system } = process.cpuUsage(before)
console.log(
  `\n${planned} of ${together} models at once on 64 cards: ${((user + system) / 1000).toFixed(0)} ms`,
)
