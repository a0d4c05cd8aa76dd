import { DroverError } from '../../inference/index.ts'
import type { EngineCommand, InstanceSpec, ParallelNode } from '../contract.ts'
import type { ProgramFacts } from '../openai/engine.ts'

/** Where the first machine of a group listens for the others. */
const groupPort = 50_000
const kvTypes: Readonly<Record<string, string>> = { f16: 'auto', bf16: 'bf16', q8_0: 'fp8_e5m2' }

/**
 * The arguments of `python -m sglang.launch_server` for one process of an instance; `rank` is the machine's place in a
 * group. Flags that not every release has as in vLLM's `launchLine`. Throws `unsupported` for what SGLang cannot do.
 */
export function launchLine(
  spec: InstanceSpec,
  facts: Pick<ProgramFacts, 'flags'> | undefined,
  { host, port }: { host: string; port: number },
  rank = 0,
): string[] {
  const args = ['--model-path', spec.modelPath, '--served-model-name', spec.modelName]
  const optional = (flag: string, ...values: string[]) => {
    if (facts === undefined || facts.flags.has(flag)) args.push(flag, ...values)
  }
  args.push('--host', host, '--port', String(port))
  args.push('--context-length', String(spec.contextLength), '--max-running-requests', String(spec.slots))
  args.push(...parallelFlags(spec, rank), ...memoryFlags(spec))
  if (spec.batchSize !== undefined) args.push('--chunked-prefill-size', String(spec.batchSize))
  if (spec.embedding) args.push('--is-embedding')
  optional('--enable-metrics')
  optional('--enable-cache-report')
  // Else each event repeats all of the answer; releases named it differently.
  if (facts?.flags.has('--stream-output')) args.push('--stream-output')
  else optional('--incremental-streaming-output')
  if (spec.draft) {
    args.push('--speculative-algorithm', 'STANDALONE', '--speculative-draft-model-path', spec.draft.modelPath)
    args.push('--speculative-num-steps', String(spec.draft.mostTokens ?? 3))
  }
  if (spec.adapterPaths.length > 0) {
    throw new DroverError(
      'unsupported',
      'adapters are not given to SGLang: run this model with vLLM or llama.cpp',
    )
  }
  return args
}

function parallelFlags({ parallel }: InstanceSpec, rank: number): string[] {
  if (!parallel) return []
  const { tensor, pipeline, data, nodes = [], launcher = 'own' } = parallel
  const args: string[] = []
  if (tensor > 1) args.push('--tp-size', String(tensor))
  if (pipeline > 1) args.push('--pp-size', String(pipeline))
  if (data > 1) args.push('--dp-size', String(data))
  const [head] = nodes
  if (nodes.length < 2 || !head) return args
  if (launcher === 'ray')
    throw new DroverError('unsupported', 'SGLang joins machines by its own means, not by Ray')
  args.push('--nnodes', String(nodes.length), '--node-rank', String(rank))
  return [...args, '--dist-init-addr', `${head.address}:${groupPort}`]
}

function memoryFlags({ kvCacheType }: InstanceSpec): string[] {
  const type = kvTypes[kvCacheType]
  if (type === undefined) {
    const known = Object.keys(kvTypes).join(', ')
    throw new DroverError('unsupported', `SGLang keeps no KV cache of ${kvCacheType}: take one of ${known}`)
  }
  return type === 'auto' ? [] : ['--kv-cache-dtype', type]
}

/** What a process of an instance finds in its environment, beside its devices. */
export function environmentOf({ parallel }: InstanceSpec, node?: ParallelNode): Record<string, string> {
  const { stageLayers } = parallel ?? {}
  const { networkInterface, env } = node ?? {}
  return {
    CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
    ...(stageLayers && { SGLANG_PP_LAYER_PARTITION: stageLayers.join(',') }),
    ...(networkInterface !== undefined && {
      NCCL_SOCKET_IFNAME: networkInterface,
      GLOO_SOCKET_IFNAME: networkInterface,
    }),
    ...env,
  }
}

/** The processes of an instance, one a machine; of a group the first answers requests. */
export function sglangCommands(spec: InstanceSpec, facts: ProgramFacts | undefined): EngineCommand[] {
  const program = [facts?.path ?? 'python3', '-m', 'sglang.launch_server']
  const { nodes = [] } = spec.parallel ?? {}
  const port = spec.port ?? 30_000
  if (nodes.length < 2) {
    const line = launchLine(spec, facts, { host: '127.0.0.1', port })
    return [{ env: { ...spec.env, ...environmentOf(spec) }, argv: [...program, ...line] }]
  }
  return nodes.map((node, rank) => ({
    node: node.node,
    env: environmentOf(spec, node),
    argv: [...program, ...launchLine(spec, facts, { host: node.address, port }, rank)],
  }))
}
