import { join } from 'node:path'
import { DroverError } from '../../inference/index.ts'
import type { EngineCommand, InstanceSpec, ParallelNode } from '../contract.ts'
import type { VllmFacts } from './probe.ts'

/** Where the head of a group listens for the others (`--master-port`, Ray's own default). */
const masterPort = 29_501
const rayPort = 6_379

/** Our names of KV types as vLLM's; it has no others that are as small. */
const kvTypes: Readonly<Record<string, string>> = { f16: 'auto', bf16: 'bfloat16', q8_0: 'fp8' }

export interface Listen {
  host: string
  port: number
}

/**
 * The arguments of `vllm serve` for one process of an instance. Flags that not every release has are given where the
 * help names them, or, before anybody asked (`facts` absent), as the newest release has them. `rank` is the machine's
 * place in a group that finds itself by vLLM's own means. Throws `unsupported` for what vLLM cannot do.
 */
export function launchLine(
  spec: InstanceSpec,
  facts: Pick<VllmFacts, 'flags'> | undefined,
  listen: Listen,
  rank = 0,
): string[] {
  const has = (flag: string) => facts === undefined || facts.flags.has(flag)
  const args = ['serve', spec.modelPath, '--served-model-name', spec.modelName]
  args.push('--host', listen.host, '--port', String(listen.port))
  args.push('--max-model-len', String(spec.contextLength), '--max-num-seqs', String(spec.slots))
  args.push(...parallelFlags(spec, rank), ...memoryFlags(spec))
  if (spec.batchSize !== undefined) args.push('--max-num-batched-tokens', String(spec.batchSize))
  if (spec.embedding) args.push(...(has('--runner') ? ['--runner', 'pooling'] : ['--task', 'embed']))
  else if (has('--enable-prefix-caching')) args.push('--enable-prefix-caching')
  args.push(...draftFlags(spec), ...adapterFlags(spec))
  // Texts of prompts are nobody's business; a log of them was the default once.
  if (facts?.flags.has('--disable-log-requests')) args.push('--disable-log-requests')
  return args
}

/** `sun_path` holds 104 bytes on macOS, 108 on Linux. */
const longestSocketPath = 103

/**
 * Where a vLLM of Drover's own publishes what its KV cache stores and evicts, in a folder of its own, and the flag for it.
 * Undefined where it had better not: ranks of data parallelism publish each by itself, and before 0.21 events switch off
 * the manager of hybrid caches, by which models with sliding windows lose memory and those with states do not start.
 */
export function kvEventsOf(
  { parallel, embedding }: InstanceSpec,
  { flags, version }: Pick<VllmFacts, 'flags' | 'version'>,
  folder: string,
): { endpoint: string; args: string[] } | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const path = join(folder, 'kv-events')
  if (embedding || (parallel?.data ?? 1) > 1 || !flags.has('--kv-events-config')) return undefined
  if ((major === 0 && minor < 21) || Buffer.byteLength(path) > longestSocketPath) return undefined
  const endpoint = `ipc://${path}`
  const config = { enable_kv_cache_events: true, publisher: 'zmq', endpoint, topic: '' }
  return { endpoint, args: ['--kv-events-config', JSON.stringify(config)] }
}

function parallelFlags({ parallel }: InstanceSpec, rank: number): string[] {
  if (!parallel) return []
  const { tensor, pipeline, data, nodes = [], launcher = 'own' } = parallel
  const args: string[] = []
  if (tensor > 1) args.push('--tensor-parallel-size', String(tensor))
  if (pipeline > 1) args.push('--pipeline-parallel-size', String(pipeline))
  if (data > 1) args.push('--data-parallel-size', String(data))
  const [head] = nodes
  if (nodes.length < 2 || !head) return args
  if (launcher === 'ray') return [...args, '--distributed-executor-backend', 'ray']
  args.push('--nnodes', String(nodes.length), '--node-rank', String(rank))
  args.push('--master-addr', head.address, '--master-port', String(masterPort))
  return rank === 0 ? args : [...args, '--headless']
}

function memoryFlags({ kvCacheType }: InstanceSpec): string[] {
  const type = kvTypes[kvCacheType]
  if (type === undefined) {
    const known = Object.keys(kvTypes).join(', ')
    throw new DroverError('unsupported', `vLLM keeps no KV cache of ${kvCacheType}: take one of ${known}`)
  }
  return type === 'auto' ? [] : ['--kv-cache-dtype', type]
}

function draftFlags({ draft }: InstanceSpec): string[] {
  if (!draft) return []
  const config = {
    method: 'draft_model',
    model: draft.modelPath,
    num_speculative_tokens: draft.mostTokens ?? 3,
  }
  return ['--speculative-config', JSON.stringify(config)]
}

/** The name of an adapter in requests; vLLM tells models and adapters apart by it. */
export const adapterName = 'adapter'

function adapterFlags({ adapterPaths }: InstanceSpec): string[] {
  const [path, ...more] = adapterPaths
  if (path === undefined) return []
  if (more.length > 0) {
    throw new DroverError('unsupported', 'vLLM applies one adapter to a request, and this model has several')
  }
  return ['--enable-lora', '--lora-modules', `${adapterName}=${path}`]
}

/** What a process of an instance finds in its environment, beside its devices. */
export function environmentOf({ parallel }: InstanceSpec, node?: ParallelNode): Record<string, string> {
  const { stageLayers } = parallel ?? {}
  const { address, networkInterface, env } = node ?? {}
  return {
    VLLM_NO_USAGE_STATS: '1',
    // So that numbers of cards are those that the vendor's tools show.
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    ...(stageLayers && { VLLM_PP_LAYER_PARTITION: stageLayers.join(',') }),
    ...(address !== undefined && { VLLM_HOST_IP: address }),
    ...(networkInterface !== undefined && {
      NCCL_SOCKET_IFNAME: networkInterface,
      GLOO_SOCKET_IFNAME: networkInterface,
    }),
    ...env,
  }
}

/**
 * The processes of an instance, one a machine; of a group the first answers requests. With Ray each machine joins its
 * cluster, and the first starts vLLM in it.
 */
export function vllmCommands(spec: InstanceSpec, facts: VllmFacts | undefined): EngineCommand[] {
  const program = facts?.command ?? ['vllm']
  const { nodes = [], launcher = 'own' } = spec.parallel ?? {}
  const port = spec.port ?? 8_000
  if (nodes.length < 2) {
    const line = launchLine(spec, facts, { host: '127.0.0.1', port })
    return [{ env: { ...spec.env, ...environmentOf(spec) }, argv: [...program, ...line] }]
  }
  return nodes.map((node, rank) => {
    const serve = [...program, ...launchLine(spec, facts, { host: node.address, port }, rank)]
    const argv = launcher === 'ray' ? rayCommand(nodes, rank, serve) : serve
    return { node: node.node, env: environmentOf(spec, node), argv }
  })
}

function rayCommand(nodes: readonly ParallelNode[], rank: number, serve: readonly string[]): string[] {
  const [head] = nodes
  if (rank > 0) return ['ray', 'start', `--address=${head?.address}:${rayPort}`, '--block']
  const join = `ray start --head --port=${rayPort}`
  return ['/bin/sh', '-c', `${join} && exec "$0" "$@"`, ...serve]
}
