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
import { type ObservedRun, observeMemory } from '../test/support/engine-memory.ts'
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

type Split = { first: number; args: readonly string[]; devices: number; tensor?: boolean; borrows?: boolean }
const one: Split = { first: 0, args: ['-ngl', '99', '-sm', 'none'], devices: 1 }
const halves: Split = { first: 6, args: ['-ngl', '99', '-ts', '6,7'], devices: 2 }
const uneven: Split = { first: 9, args: ['-ngl', '99', '-ts', '9,4'], devices: 2 }
const tensor: Split = {
  first: 0,
  args: ['-ngl', '99', '-sm', 'tensor', '-ts', '1,1'],
  devices: 2,
  tensor: true,
}
const offload: Split = { first: 6, args: ['-ngl', '7', '-sm', 'none'], devices: 1, borrows: true }

const cases: [name: string, shape: SyntheticShape, run: ObservedRun, split: Split][] = [
  ['llama, one device', small, run, one],
  ['llama, halves', small, run, halves],
  ['llama Q8_0, 9 and 3 layers', { ...small, type: 'Q8_0' }, run, uneven],
  ['llama Q4_K, halves, q8_0 cache', { ...small, type: 'Q4_K' }, { ...run, kvCacheType: 'q8_0' }, halves],
  ['llama, halves, no flash attention', small, { ...run, flashAttention: 'off' }, halves],
  ['llama, halves, batch 128', small, { ...run, batchSize: 128 }, halves],
  ['llama, six layers on the CPU', small, run, offload],
  ['llama, tensors', { ...small, kvHeads: 4 }, { ...run, flashAttention: 'on' }, tensor],
  ['qwen3, halves', { ...small, architecture: 'qwen3' }, run, halves],
  ['qwen3 experts, one device', { ...small, architecture: 'qwen3', experts: 8, ffn: 512 }, run, one],
  ['qwen3 experts, halves', { ...small, architecture: 'qwen3', experts: 8, ffn: 512 }, run, halves],
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
  for (const [index, role] of rolesOf(split).entries()) {
    const device = seen[index]
    if (!device) throw new Error(`${name}: the engine tells of ${seen.length} devices`)
    const [first, end] = role.layers
    const own = costs.layers.slice(first, end)
    const sum = (key: 'weightsBytes' | 'kvCacheBytes') => own.reduce((total, layer) => total + layer[key], 0)
    const head = role.output ? costs.output.weightsBytes : 0
    const share = split.tensor ? 2 : 1
    const parts = [
      (sum('weightsBytes') + head) / share,
      sum('kvCacheBytes') / share,
      costs.computeBytes(role),
    ]
    const told = [device.modelBytes, device.kvCacheBytes, device.computeBytes]
    const [predicted, taken] = [parts, told].map((list) => list.reduce((total, bytes) => total + bytes, 0))
    const error = (predicted ?? 0) / (taken ?? 1) - 1
    errors.push(error)
    const cells = told.map((bytes, at) => `${mib(bytes)} / ${mib(parts[at] ?? 0)}`)
    rows.push([name, device.name, ...cells, `${(100 * error).toFixed(2)} %`])
  }
}
printTable([['model', 'device', 'weights: seen / predicted', 'KV', 'compute', 'total'], ...rows])
const percent = (value: number) => `${(100 * value).toFixed(2)} %`
console.log(
  `\n${errors.length} devices of ${cases.length} loads: median ${percent(median(errors.map(Math.abs)))}, worst ` +
    `${percent(Math.max(...errors.map(Math.abs)))}, worst under-estimate ${percent(Math.max(0, ...errors.map((error) => -error)))}`,
)

/** The devices' parts, in the order of the layers. In a tensor split llama.cpp tells of one device for all. */
function rolesOf({ first, devices, tensor, borrows }: Split): PartRole[] {
  const role = (from: number, to: number): PartRole => ({
    backend: 'vulkan',
    layers: [from, to],
    output: to === layers,
    tensorSize: tensor ? devices : 1,
    devices,
    ...(borrows && { borrows }),
  })
  if (devices === 1 || tensor) return [role(first, layers)]
  return [role(0, first), role(first, layers)]
}
