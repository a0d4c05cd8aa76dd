/**
 * The same question as in `memory.ts`, of models divided over two GPUs: is what Drover predicts of each device's buffers
 * what llama.cpp takes there? Any llama-server that lists two devices will do, two software GPUs among them:
 *
 *   GGML_VK_VISIBLE_DEVICES=0,0 node bench/memory-splits.ts --server PATH
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readGguf } from '../src/models/index.ts'
import { costsOf, type PartRole } from '../src/placement/index.ts'
import { byKind, type ObservedRun, observeMemory } from '../test/support/engine-memory.ts'
import { type SyntheticShape, writeSyntheticGguf } from '../tools/synthetic.ts'
import { scratchFolder } from './support/servers.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: { server: { type: 'string' } },
})
const { server } = flags
if (server === undefined) throw new Error('say which llama-server: --server PATH')

const layers = 12
const small: SyntheticShape = {
  ...{
    layers,
    dim: 512,
    heads: 8,
    kvHeads: 2,
    headDim: 64,
    ffn: 1536,
    vocab: 8192,
    context: 16_384,
    type: 'F16',
  },
}
const run: ObservedRun = {
  contextLength: 4096,
  slots: 2,
  kvCacheType: 'f16',
  batchSize: 512,
  flashAttention: 'auto',
}

interface Split {
  /** Layers before this one are the first device's, or the CPU's where there is one device only. */
  first: number
  args: readonly string[]
  devices: number
  tensor?: boolean
  /** So many layers lie in host memory, of two devices' model. */
  host?: number
  /** Experts of so many layers lie there. */
  hostExperts?: number
}
const one: Split = { first: 0, args: ['-ngl', '99', '-sm', 'none'], devices: 1 }
const halves: Split = { first: 6, args: ['-ngl', '99', '-ts', '6,7'], devices: 2 }
const uneven: Split = { first: 9, args: ['-ngl', '99', '-ts', '9,4'], devices: 2 }
const tensor: Split = {
  first: 0,
  args: ['-ngl', '99', '-sm', 'tensor', '-ts', '1,1'],
  devices: 2,
  tensor: true,
}
const offload: Split = { first: 6, args: ['-ngl', '7', '-sm', 'none'], devices: 1 }
const offloadOfTwo: Split = { first: 8, args: ['-ngl', '9', '-ts', '4,5'], devices: 2, host: 4 }
const expertsOf = (split: Split, hostExperts: number): Split => ({
  ...split,
  args: [...split.args, '--n-cpu-moe', String(hostExperts)],
  hostExperts,
})
const experts: SyntheticShape = { ...small, architecture: 'qwen3', experts: 8, ffn: 512 }
const manyExperts: SyntheticShape = { ...experts, experts: 64 }

const cases: [name: string, shape: SyntheticShape, run: ObservedRun, split: Split][] = [
  ['llama, one device', small, run, one],
  ['llama, halves', small, run, halves],
  ['llama Q8_0, 9 and 3 layers', { ...small, type: 'Q8_0' }, run, uneven],
  ['llama Q4_K, halves, q8_0 cache', { ...small, type: 'Q4_K' }, { ...run, kvCacheType: 'q8_0' }, halves],
  ['llama, halves, no flash attention', small, { ...run, flashAttention: 'off' }, halves],
  ['llama, halves, batch 128', small, { ...run, batchSize: 128 }, halves],
  ['llama, six layers on the CPU', small, run, offload],
  ['llama, tensors', { ...small, kvHeads: 4 }, { ...run, flashAttention: 'on' }, tensor],
  ['llama, halves, four layers on the CPU', small, run, offloadOfTwo],
  ['qwen3, halves', { ...small, architecture: 'qwen3' }, run, halves],
  ['qwen3 experts, one device', experts, run, one],
  ['qwen3 experts, halves', experts, run, halves],
  ['qwen3 experts of 6 layers on the host', experts, run, expertsOf(one, 6)],
  ['qwen3 experts of 12 on the host', experts, run, expertsOf(one, 12)],
  ['qwen3 64 experts of 12 on the host', manyExperts, run, expertsOf(one, 12)],
  [
    'qwen3 64 experts Q4_K, batch 2048',
    { ...manyExperts, type: 'Q4_K' },
    { ...run, batchSize: 2048 },
    expertsOf(one, 12),
  ],
  ['qwen3 Q8_0, halves, experts of 4 on the host', { ...experts, type: 'Q8_0' }, run, expertsOf(halves, 4)],
  ['qwen3 64 experts, halves, of 9 on the host', manyExperts, run, expertsOf(halves, 9)],
  ['qwen3, six layers and all experts on the host', manyExperts, run, expertsOf(offload, 12)],
  ['llama experts of 12 on the host', { ...manyExperts, architecture: 'llama' }, run, expertsOf(one, 12)],
  ['gpt-oss experts of 12 on the host', { ...manyExperts, architecture: 'gpt-oss' }, run, expertsOf(one, 12)],
  [
    'deepseek2 experts of 12 on the host',
    { ...manyExperts, architecture: 'deepseek2' },
    run,
    expertsOf(one, 12),
  ],
  ['gemma3, one device', { ...small, architecture: 'gemma3', window: 512 }, run, one],
  ['gemma3, halves', { ...small, architecture: 'gemma3', window: 512 }, run, halves],
  ['phi2, 9 and 3 layers', { ...small, architecture: 'phi2', kvHeads: 8 }, run, uneven],
]

const folder = scratchFolder()
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(2)
const rows: string[][] = []
const errors: number[] = []
for (const [name, shape, asked, split] of cases) {
  const path = join(folder, 'model.gguf')
  await writeSyntheticGguf(path, shape, { sparse: true })
  const { devices = [] } = await observeMemory(path, asked, { server, args: split.args })
  const file = await readGguf(path)
  const costs = costsOf({ name, shape: file.shape, format: 'gguf', fileType: file.fileType }, asked)
  const seen = devices.filter((device) => !device.host)
  const { hostExperts = 0 } = split
  const roles = rolesOf(split)
  // What the CPU computes itself is the plan's business there; here it only keeps experts for the devices.
  if (roles[0]?.onHost === 'experts') {
    const experts = costs.layers.slice(0, hostExperts).reduce((sum, { expertBytes }) => sum + expertBytes, 0)
    const { weightsBytes, computeBytes } = costs.hostOf(roles[0])
    const told = byKind({ devices: devices.filter(({ host }) => host) })
    compare(name, 'host', [weightsBytes + experts, 0, computeBytes], Object.values(told))
  }
  for (const [index, role] of roles.entries()) {
    const device = seen[index]
    if (!device) throw new Error(`${name}: the engine tells of ${seen.length} devices`)
    const [first, end] = role.layers
    const own = costs.layers.slice(first, end)
    const sum = (key: 'weightsBytes' | 'kvCacheBytes') => own.reduce((total, layer) => total + layer[key], 0)
    const away = costs.layers
      .slice(first, Math.max(first, Math.min(end, hostExperts)))
      .reduce((total, { expertBytes }) => total + expertBytes, 0)
    const head = role.output ? costs.output.weightsBytes : 0
    const share = split.tensor ? 2 : 1
    const parts = [
      (sum('weightsBytes') + head - away) / share,
      sum('kvCacheBytes') / share,
      costs.computeBytes(role),
    ]
    const told = [device.modelBytes, device.kvCacheBytes, device.computeBytes]
    compare(name, device.name, parts, told)
  }
}
printTable([['model', 'device', 'weights: seen / predicted', 'KV', 'compute', 'total'], ...rows])
const percent = (value: number) => `${(100 * value).toFixed(2)} %`
console.log(
  `\n${errors.length} devices of ${cases.length} loads: median ${percent(median(errors.map(Math.abs)))}, worst ` +
    `${percent(Math.max(...errors.map(Math.abs)))}, worst under-estimate ${percent(Math.max(0, ...errors.map((error) => -error)))}`,
)

function compare(name: string, device: string, predicted: readonly number[], told: readonly number[]): void {
  const sum = (list: readonly number[]) => list.reduce((total, bytes) => total + bytes, 0)
  const error = sum(predicted) / sum(told) - 1
  errors.push(error)
  const cells = told.map((bytes, at) => `${mib(bytes)} / ${mib(predicted[at] ?? 0)}`)
  rows.push([name, device, ...cells, `${(100 * error).toFixed(2)} %`])
}

/** The devices' parts, in the order of the layers. In a tensor split llama.cpp tells of one device for all. */
function rolesOf({ first, devices, tensor, host = 0, hostExperts = 0 }: Split): PartRole[] {
  const layersOnHost = host > 0 || (devices === 1 && first > 0)
  const onHost = layersOnHost ? 'layers' : hostExperts > 0 ? 'experts' : undefined
  const role = (from: number, to: number): PartRole => ({
    backend: 'vulkan',
    layers: [from, to],
    output: to === layers,
    tensorSize: tensor ? devices : 1,
    devices,
    onHost,
    borrows: from === (devices === 1 ? first : host),
  })
  if (devices === 1 || tensor) return [role(first, layers)]
  return [role(host, first), role(first, layers)]
}
