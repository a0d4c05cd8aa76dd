import { describe, expect, it } from 'vitest'
import type { Inventory, Plan, PlanLink, PlanModel, PlanResult, PlanWishes } from '../contract.ts'
import { parseGpuList } from '../inventory/index.ts'
import { type FamousName, famousModel } from './famous-models.ts'
import { planModel } from './plan.ts'

/** What an expert would answer. What is not told may be anything. */
interface Answer {
  strategy?: Plan['strategy']
  engine?: Plan['instances'][number]['engine']
  instances?: number
  /** Devices of the first instance, by name where they are unlike. */
  devices?: number
  names?: readonly string[]
  tensorSize?: number
  pipelineSize?: number
  nodes?: number
  /** What of the first instance host memory holds. */
  host?: 'nothing' | 'experts' | 'layers' | 'all'
  context?: number
  atLeastTokensPerS?: number
  atMostTokensPerS?: number
  /** Ids of the first instance's devices. */
  ids?: readonly string[]
}

interface Situation {
  title: string
  model: FamousName | PlanModel
  fileType?: string
  machines: string | Inventory
  wishes?: PlanWishes
  answer: Answer | { refused: RegExp }
}

const situations: readonly Situation[] = [
  {
    title: 'a small model on 8 cards: one card each, eight instances',
    model: 'llama3.1:8b',
    machines: '8x3090',
    answer: {
      strategy: 'data',
      instances: 8,
      devices: 1,
      host: 'nothing',
      atLeastTokensPerS: 90,
      atMostTokensPerS: 180,
    },
  },
  {
    title: 'a small model on bridged data-centre cards is not divided either',
    model: 'qwen3:8b',
    machines: '8xh100 sxm',
    answer: { strategy: 'data', instances: 8, devices: 1 },
  },
  {
    title: 'a tiny model on one small card',
    model: 'qwen3:0.6b',
    fileType: 'Q8_0',
    machines: 'rtx 3060',
    answer: { strategy: 'single', instances: 1, devices: 1, host: 'nothing', context: 40_960 },
  },
  {
    title: '70B on two 24 GB cards without a bridge: layers one after the other',
    model: 'llama3.1:70b',
    machines: '2x3090',
    answer: {
      strategy: 'pipeline',
      devices: 2,
      pipelineSize: 2,
      host: 'nothing',
      atLeastTokensPerS: 13,
      atMostTokensPerS: 20,
    },
  },
  {
    title: '70B on two bridged 24 GB cards: tensors',
    model: 'llama3.1:70b',
    machines: '2x3090 nvlink',
    answer: { strategy: 'tensor', tensorSize: 2, devices: 2, atLeastTokensPerS: 22 },
  },
  {
    title: '70B on four unlike cards: the two large ones of one maker, the slow ones stay out',
    model: 'llama3.1:70b',
    machines: '4090,3090,rtx 3060,rx 7900 xtx',
    answer: { strategy: 'pipeline', names: ['RTX 3090', 'RTX 4090'], host: 'nothing' },
  },
  {
    title: '70B needs all of three unlike cards',
    model: 'llama3.1:70b',
    machines: '3090,rtx 3060,rtx 4070 ti super',
    answer: { strategy: 'pipeline', devices: 3, pipelineSize: 3, host: 'nothing' },
  },
  {
    title: '405B in Q4 on two boxes of eight 24 GB cards: one process, RPC to the other box',
    model: 'llama3.1:405b',
    machines: '8x3090 / 8x3090 @10gbe',
    answer: {
      strategy: 'pipeline',
      engine: 'llama.cpp',
      nodes: 2,
      host: 'nothing',
      atLeastTokensPerS: 2,
      atMostTokensPerS: 5,
    },
  },
  {
    title: 'NVIDIA and AMD in one box serve one process',
    model: 'qwen3:32b',
    fileType: 'Q8_0',
    machines: '3090,rx 7900 xtx',
    answer: { strategy: 'pipeline', engine: 'llama.cpp', devices: 2, host: 'nothing' },
  },
  {
    title: 'NVIDIA and AMD, but vendors may not be mixed: layers on the CPU',
    model: 'qwen3:32b',
    fileType: 'Q8_0',
    machines: '3090,rx 7900 xtx',
    wishes: { crossVendor: false },
    answer: { strategy: 'single', devices: 1, host: 'layers' },
  },
  {
    title: 'two bridged pairs among four cards: the pair is one pair',
    model: 'llama3.1:70b',
    machines: pairs(4),
    answer: { strategy: 'hybrid', instances: 2, tensorSize: 2, ids: ['gpu0', 'gpu2'] },
  },
  {
    title: 'bridged pairs among eight cards: four groups of two',
    model: 'llama3.1:70b',
    machines: pairs(8),
    answer: { strategy: 'hybrid', instances: 4, tensorSize: 2 },
  },
  {
    title: 'one slow card beside two fast ones that suffice: it stays out',
    model: 'llama3.1:70b',
    machines: '2x3090,tesla p40',
    answer: { strategy: 'pipeline', names: ['RTX 3090', 'RTX 3090'], host: 'nothing' },
  },
  {
    title: 'one slow card that is needed gets fewer layers than memory allows',
    model: 'llama3.1:70b',
    fileType: 'Q5_K_M',
    machines: '2x3090,tesla p40',
    wishes: { contextLength: 8192, slots: 1 },
    answer: { strategy: 'pipeline', devices: 3, host: 'nothing' },
  },
  {
    title: 'gpt-oss-120b on one 24 GB card: experts in host memory',
    model: 'gpt-oss:120b',
    fileType: 'MXFP4',
    machines: '4090,cpu:128',
    answer: { strategy: 'single', devices: 1, host: 'experts', atLeastTokensPerS: 15, atMostTokensPerS: 45 },
  },
  {
    title: 'Qwen3-30B-A3B on 12 GB: experts in host memory',
    model: 'qwen3:30b-a3b',
    machines: 'rtx 3060,cpu:64',
    answer: { strategy: 'single', devices: 1, host: 'experts', atLeastTokensPerS: 25 },
  },
  {
    title: 'Qwen3-30B-A3B on 24 GB: all on the card',
    model: 'qwen3:30b-a3b',
    machines: '3090,cpu:64',
    answer: { strategy: 'single', devices: 1, host: 'nothing', atLeastTokensPerS: 80 },
  },
  {
    title: 'DeepSeek-R1 on one card and much memory: all experts in host memory',
    model: 'deepseek-r1:671b',
    machines: '4090,cpu:512',
    answer: { strategy: 'single', devices: 1, host: 'experts', atMostTokensPerS: 8 },
  },
  {
    title: 'DeepSeek-R1 in FP8 on eight H200: tensors over all of them',
    model: 'deepseek-r1:671b',
    fileType: 'FP8',
    machines: '8xh200',
    answer: { strategy: 'tensor', engine: 'vllm', tensorSize: 8, host: 'nothing' },
  },
  {
    title: 'experts may not leave the card: layers do',
    model: 'gpt-oss:120b',
    fileType: 'MXFP4',
    machines: '4090,cpu:128',
    wishes: { expertOffload: false },
    answer: { strategy: 'single', devices: 1, host: 'layers' },
  },
  {
    title: '70B with one card and nothing else: refused, with what would fit',
    model: 'llama3.1:70b',
    machines: '4090,cpu:16',
    answer: { refused: /needs 4\d\.\d GiB.*as IQ4_XS/ },
  },
  {
    title: '405B in BF16 on a notebook: refused',
    model: 'llama3.1:405b',
    fileType: 'F16',
    machines: 'rtx 3060,cpu:32',
    answer: { refused: /take a smaller model, or add memory/ },
  },
  {
    title: 'the context is the limit: as long as fits',
    model: 'qwen3:14b',
    machines: 'rtx 3060',
    answer: { strategy: 'single', devices: 1, host: 'nothing' },
  },
  {
    title: 'an asked-for context that one card cannot hold takes two',
    model: 'llama3.1:8b',
    fileType: 'Q8_0',
    machines: '2xrtx 3060',
    wishes: { contextLength: 65_536, slots: 1 },
    answer: { strategy: 'pipeline', devices: 2, host: 'nothing', context: 65_536 },
  },
  {
    title: 'an asked-for context that nothing holds is refused with one that fits',
    model: 'llama3.1:8b',
    fileType: 'Q8_0',
    machines: 'rtx 3060,cpu:16',
    wishes: { contextLength: 131_072, slots: 4 },
    answer: { refused: /a context of \d+ tokens \(num_ctx\) would fit/ },
  },
  {
    title: 'heads that do not divide by three: a pipeline',
    model: 'llama3.1:70b',
    fileType: 'Q6_K',
    machines: '3x3090 nvlink',
    answer: { strategy: 'pipeline', pipelineSize: 3 },
  },
  {
    title: 'a tensor split over three asked for by name is refused',
    model: 'llama3.1:70b',
    machines: '3x3090 nvlink',
    wishes: { strategy: 'tensor', tensorSize: 3 },
    answer: { refused: /another strategy than tensor would fit/ },
  },
  {
    title: 'llama.cpp does not split DeepSeek by tensors: a pipeline, over no more cards than it takes',
    model: 'deepseek-r1:671b',
    fileType: 'Q2_K',
    machines: '4xh100 sxm',
    answer: { strategy: 'pipeline', engine: 'llama.cpp', tensorSize: 1, pipelineSize: 3, host: 'nothing' },
  },
  {
    title: 'a quantised KV cache rules the tensor split out',
    model: 'llama3.1:70b',
    machines: '2x3090 nvlink',
    wishes: { kvCacheType: 'q8_0' },
    answer: { strategy: 'pipeline', pipelineSize: 2 },
  },
  {
    title: 'a cap on power leaves room for two of eight cards',
    model: 'llama3.1:8b',
    machines: '8x3090',
    wishes: { maxWatts: 700 },
    answer: { strategy: 'data', instances: 2, devices: 1 },
  },
  {
    title: 'power-aware: the frugal card, though the other is faster',
    model: 'qwen3:4b',
    machines: '4090,3090',
    wishes: { algorithm: 'power_aware' },
    answer: { strategy: 'single', instances: 1, names: ['RTX 3090'] },
  },
  {
    title: 'performance-aware: the faster of the two',
    model: 'qwen3:4b',
    machines: '4090,3090',
    wishes: { strategy: 'single' },
    answer: { strategy: 'single', names: ['RTX 4090'] },
  },
  {
    title: 'pinned to two cards of eight',
    model: 'llama3.1:8b',
    machines: '8x3090',
    wishes: { pins: ['gpu2', 'gpu5'] },
    answer: { strategy: 'data', instances: 2, ids: ['gpu2'] },
  },
  {
    title: 'pinned to a vendor',
    model: 'llama3.1:8b',
    machines: '4090,rx 7900 xtx',
    wishes: { pins: ['vendor=amd'] },
    answer: { strategy: 'single', names: ['RX 7900 XTX'] },
  },
  {
    title: 'a card to avoid',
    model: 'llama3.1:8b',
    machines: '4090,rx 7900 xtx',
    wishes: { avoid: ['gpu0'], strategy: 'single' },
    answer: { strategy: 'single', names: ['RX 7900 XTX'] },
  },
  {
    title: 'a preferred node first',
    model: 'llama3.1:8b',
    machines: '4090 / 4090 @10gbe',
    wishes: { prefer: ['node2'], strategy: 'single' },
    answer: { strategy: 'single', ids: ['node2/gpu0'] },
  },
  {
    title: 'a shunned card only when it is needed: not here',
    model: 'llama3.1:8b',
    machines: '4090,3090',
    wishes: { shun: ['gpu0'], strategy: 'single' },
    answer: { strategy: 'single', names: ['RTX 3090'] },
  },
  {
    title: 'unified memory of an Apple machine',
    model: 'llama3.1:70b',
    machines: 'm2 ultra,cpu:192',
    answer: { strategy: 'single', devices: 1, host: 'nothing', atLeastTokensPerS: 10, atMostTokensPerS: 20 },
  },
  {
    title: "gpt-oss-120b in Strix Halo's unified memory",
    model: 'gpt-oss:120b',
    fileType: 'MXFP4',
    machines: 'radeon 8060s',
    answer: { strategy: 'single', devices: 1, host: 'nothing', atLeastTokensPerS: 25 },
  },
  {
    title: 'no card at all: the CPU',
    model: 'qwen3:8b',
    machines: 'cpu:64',
    answer: { strategy: 'single', devices: 0, host: 'all', atLeastTokensPerS: 3 },
  },
  {
    title: 'two nodes over 1 GbE beat layers on the CPU',
    model: 'llama3.1:70b',
    machines: '4090,cpu:64 / 4090,cpu:64 @1gbe',
    answer: { strategy: 'pipeline', nodes: 2, devices: 2, host: 'nothing' },
  },
  {
    title: 'two nodes, but no RPC allowed: layers on the CPU',
    model: 'llama3.1:70b',
    machines: '4090,cpu:64 / 4090,cpu:64 @1gbe',
    wishes: { acrossNodes: false },
    answer: { strategy: 'single', nodes: 1, host: 'layers' },
  },
  {
    title: 'one node that holds it is better than two',
    model: 'llama3.1:70b',
    machines: '2x3090 / 3090 @1gbe',
    answer: { strategy: 'pipeline', nodes: 1, devices: 2 },
  },
  {
    title: '70B in BF16 on eight H100: vLLM, tensors over all',
    model: 'llama3.1:70b',
    fileType: 'BF16',
    machines: '8xh100 sxm',
    answer: { strategy: 'tensor', engine: 'vllm', tensorSize: 8 },
  },
  {
    title: '405B in BF16 on two boxes of eight H100: tensors within, stages between',
    model: 'llama3.1:405b',
    fileType: 'BF16',
    machines: '8xh100 sxm / 8xh100 sxm @100gbe',
    answer: { strategy: 'hybrid', engine: 'vllm', tensorSize: 8, pipelineSize: 2, nodes: 2 },
  },
  {
    title: 'eight L40S without a bridge: vLLM in stages, twice',
    model: 'llama3.1:70b',
    fileType: 'BF16',
    machines: '8xl40s',
    answer: { strategy: 'hybrid', engine: 'vllm', instances: 2, tensorSize: 1, pipelineSize: 4 },
  },
  {
    title: 'Mixtral in Q4 on two 16 GB cards',
    model: 'mixtral:8x7b',
    machines: '2xrtx 4060 ti 16gb',
    wishes: { contextLength: 8192 },
    answer: { strategy: 'pipeline', devices: 2, host: 'nothing' },
  },
  {
    title: 'Gemma 3 27B with its windows keeps its whole context on one 48 GB card',
    model: 'gemma3:27b',
    machines: 'l40s',
    answer: { strategy: 'single', devices: 1, context: 131_072 },
  },
  {
    title: 'three stages asked for by number',
    model: 'llama3.1:8b',
    machines: '4x3090',
    wishes: { strategy: 'pipeline', pipelineSize: 3 },
    answer: { strategy: 'pipeline', instances: 1, pipelineSize: 3 },
  },
  {
    title: 'memory only: the smallest card that holds it',
    model: 'llama3.1:8b',
    machines: '4090,rtx 3060',
    wishes: { algorithm: 'memory_only', contextLength: 8192, strategy: 'single' },
    answer: { strategy: 'single', names: ['RTX 3060'] },
  },
]

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

/** RTX 3090s of which each has a bridge to one other: gpu0 to gpu2, gpu1 to gpu3, and so on. */
function pairs(count: number): Inventory {
  const inventory = parseGpuList(`${count}x3090`)
  const bridged = new Set<string>()
  for (let group = 0; group < count; group += 4) {
    for (const at of [group, group + 1]) bridged.add(`gpu${at} gpu${at + 2}`)
  }
  const links: PlanLink[] = [...bridged].map((pair) => {
    const [a = '', b = ''] = pair.split(' ')
    return { a, b, class: 'nvlink', bytesPerS: 56e9, latencyS: 10e-6, peerAccess: true }
  })
  return { ...inventory, links }
}
