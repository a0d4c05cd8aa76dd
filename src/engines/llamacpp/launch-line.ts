import { DroverError } from '../../inference/index.ts'
import type { DraftSpec, InstanceSpec, InstanceSplit } from '../contract.ts'
import type { ServerFacts } from './probe.ts'

export type Endpoint = { socketPath: string } | { port: number }

/** The folder that slots are saved in. */
export const slotSaveFlag = '--slot-save-path'

/** A pooled input has to fit into one physical batch, whose buffers grow with it. */
const largestEmbeddingBatch = 8192

/**
 * The arguments for one instance. Prompts are rendered by Drover, so the server's own templates stay off. Each
 * flag is passed only where the server's help names it, except those that every version has.
 */
export function launchLine(
  spec: InstanceSpec,
  server: ServerFacts,
  options: {
    endpoint: Endpoint
    threads: number
    cacheRamMib: number
    apiKeyFile?: string
    pooling?: string
    /** Where the workers of `spec.rpcWorkers` are reached, in their order; absent: at their own addresses. */
    rpcEndpoints?: readonly string[]
    /** The devices' names as this server has them, where it does not call workers `RPC0`, `RPC1`, ... */
    deviceNames?: ReadonlyMap<string, string>
  },
): string[] {
  const { endpoint, rpcEndpoints = spec.rpcWorkers ?? [], deviceNames } = options
  const nameOf = (device: string) => deviceNames?.get(device) ?? device
  const args = ['--model', spec.modelPath]
  const optional = (flag: string, ...values: string[]) => {
    if (server.flags.has(flag)) args.push(flag, ...values)
  }
  if ('socketPath' in endpoint) args.push('--host', endpoint.socketPath)
  else args.push('--host', '127.0.0.1', '--port', String(endpoint.port))
  if (options.apiKeyFile) args.push('--api-key-file', options.apiKeyFile)
  args.push('-c', String(spec.contextLength * spec.slots), '-np', String(spec.slots))
  args.push('-t', String(options.threads))

  optional(server.flags.has('--no-webui') ? '--no-webui' : '--no-ui')
  optional('--offline')
  optional('--slots')
  if (spec.sessionDir && !spec.embedding) optional(slotSaveFlag, spec.sessionDir)
  optional('--metrics')
  // The level that tells buffer sizes.
  optional('--log-verbosity', '4')
  optional('--no-log-prefix')
  optional('--no-log-timestamps')
  optional('--log-colors', 'off')
  optional('--no-jinja')
  optional('--chat-template', 'chatml')
  optional('--cache-ram', String(options.cacheRamMib))
  // Else each request first copies what idle slots hold, a gigabyte perhaps; it is copied when a slot is taken over.
  optional('--no-cache-idle-slots')
  optional(spec.contextShift ? '--context-shift' : '--no-context-shift')
  if (rpcEndpoints.length > 0)
    args.push(needed(server, ['--rpc'], 'workers of other machines'), rpcEndpoints.join(','))
  args.push(...devices(spec, server, nameOf), ...experts(spec.hostExperts ?? [], server))
  args.push(...memory(spec, server), ...batches(spec))
  if (spec.draft) args.push(...draft(spec.draft, spec, server, nameOf))

  for (const [key, value] of Object.entries(spec.metadataOverrides ?? {})) {
    optional('--override-kv', `${key}=${typeof value === 'number' ? 'int' : 'str'}:${value}`)
  }
  const [projector, ...more] = spec.projectorPaths
  if (projector) optional('--mmproj', projector)
  if (more.length)
    throw new Error(`llama-server takes one projector, ${spec.modelName} has ${more.length + 1}`)
  args.push(...adapters(spec.adapterPaths, server.adaptersByComma))
  if (spec.embedding) args.push('--embedding')
  if (options.pooling) optional('--pooling', options.pooling)
  return args
}

/** The first of the names that the server has; versions spell one thing differently. */
function needed(server: ServerFacts, names: readonly string[], what: string): string {
  const flag = names.find((name) => server.flags.has(name))
  if (flag !== undefined) return flag
  throw new DroverError(
    'engine_unavailable',
    `${server.path} ${server.version} cannot do ${what}: its help names no ${names.join(' or ')}. ` +
      'Install a newer one with `drover engine install llama.cpp`',
  )
}

type NameOf = (device: string) => string

function devices(spec: InstanceSpec, server: ServerFacts, nameOf: NameOf): string[] {
  const { split, gpuLayers } = spec
  if (split)
    return [...splitOver(split, spec, server, nameOf), ...(server.flags.has('--fit') ? ['--fit', 'off'] : [])]
  const args: string[] = []
  const some = server.devices.length > 0 || (spec.rpcWorkers ?? []).length > 0
  if (gpuLayers === 'auto') {
    if (some && !server.gpuLayersTakesAuto) args.push('--n-gpu-layers', '999')
  } else {
    args.push('--n-gpu-layers', String(gpuLayers))
    // Without layers a GPU would still get compute buffers.
    if (gpuLayers === 0 && server.flags.has('--device')) args.push('--device', 'none')
  }
  // With the layers given, or no GPU, nothing is left to fit, and fitting reads the model's header once more.
  const nothingToFit = gpuLayers !== 'auto' || !some
  if (nothingToFit && server.flags.has('--fit')) args.push('--fit', 'off')
  return args
}

/**
 * Devices in the order of the layers. llama.cpp divides the layers that it offloads by the running sums of the weights,
 * so counts of layers that add up to `--n-gpu-layers` are met exactly; fewer leave the first layers to the host.
 */
function splitOver(split: InstanceSplit, spec: InstanceSpec, server: ServerFacts, nameOf: NameOf): string[] {
  const { mode, weights } = split
  const layers = spec.gpuLayers === 'auto' ? offloadedLayers(split) : spec.gpuLayers
  const args = ['--n-gpu-layers', String(layers)]
  args.push(needed(server, ['--device'], 'a split over chosen devices'), split.devices.map(nameOf).join(','))
  args.push(needed(server, ['--split-mode'], 'a split over devices'), mode)
  if (mode === 'tensor' && !server.splitsTensors) {
    throw new DroverError(
      'engine_unavailable',
      `${server.path} ${server.version} has no --split-mode tensor: take layer, or install a newer one`,
    )
  }
  if (mode !== 'none') args.push(needed(server, ['--tensor-split'], 'unequal shares'), weights.join(','))
  // By place in the list of devices.
  if (mode !== 'layer' && mode !== 'tensor') args.push('--main-gpu', '0')
  return args
}

/** What `--n-gpu-layers` is for a split: shares that are no counts of layers say nothing about it. */
export function offloadedLayers({ mode, weights }: InstanceSplit): number {
  return mode === 'layer' ? weights.reduce((sum, count) => sum + count, 0) : 999
}

/** Experts' matrices of these layers in host memory: of the first layers by a flag of their own, of others by name. */
function experts(layers: readonly number[], server: ServerFacts): string[] {
  if (layers.length === 0) return []
  const sorted = [...new Set(layers)].sort((a, b) => a - b)
  const areFirst = sorted.every((layer, index) => layer === index)
  if (areFirst && server.flags.has('--n-cpu-moe')) return ['--n-cpu-moe', String(sorted.length)]
  const flag = needed(server, ['--override-tensor'], 'experts in host memory')
  return [flag, `blk\\.(${sorted.join('|')})\\.ffn_.*exps=CPU`]
}

function draft(
  { modelPath, device, mostTokens }: DraftSpec,
  spec: InstanceSpec,
  server: ServerFacts,
  nameOf: NameOf,
): string[] {
  const args = [needed(server, ['--spec-draft-model', '--model-draft'], 'speculative decoding'), modelPath]
  const optional = (names: readonly string[], value: string) => {
    const flag = names.find((name) => server.flags.has(name))
    if (flag !== undefined) args.push(flag, value)
  }
  // Newer versions guess by several means, and by none where they are not told.
  if (server.draftTypeNamed) args.push('--spec-type', 'draft-simple')
  if (device !== undefined) {
    const name = device === 'cpu' ? 'none' : nameOf(device)
    args.push(
      needed(server, ['--spec-draft-device', '--device-draft'], 'a draft model on a chosen device'),
      name,
    )
  }
  const onHost = device === 'cpu' || (device === undefined && spec.gpuLayers === 0)
  optional(['--spec-draft-ngl', '--n-gpu-layers-draft', '--gpu-layers-draft'], onHost ? '0' : '999')
  if (mostTokens !== undefined) optional(['--spec-draft-n-max', '--draft-max'], String(mostTokens))
  return args
}

/** Types of blocks: the server keeps values in them under flash attention only. */
const quantised = /^i?q\d/

function memory(spec: InstanceSpec, server: ServerFacts): string[] {
  const args: string[] = []
  if (server.flashAttentionTakesValue) args.push('--flash-attn', spec.flashAttention)
  else if (spec.flashAttention === 'on') args.push('--flash-attn')
  if (spec.kvCacheType !== 'f16') {
    args.push('--cache-type-k', spec.kvCacheType)
    if (spec.flashAttention !== 'off' || !quantised.test(spec.kvCacheType))
      args.push('--cache-type-v', spec.kvCacheType)
  }
  if (spec.useMmap !== undefined && server.flags.has('--load-mode')) {
    args.push('--load-mode', spec.useMmap ? 'mmap' : 'none')
  } else if (spec.useMmap === false) {
    args.push('--no-mmap')
  }
  return args
}

function batches(spec: InstanceSpec): string[] {
  const size =
    spec.batchSize ?? (spec.embedding ? Math.min(spec.contextLength, largestEmbeddingBatch) : undefined)
  if (size === undefined) return []
  // It divides a batch of inputs among its slots, and breaks down where that does not come out even.
  const even = spec.embedding ? Math.ceil(size / spec.slots) * spec.slots : size
  return ['-b', String(even), '-ub', String(even)]
}

function adapters(paths: readonly string[], byComma: boolean): string[] {
  if (!byComma) return paths.flatMap((path) => ['--lora', path])
  const quoted = paths.map((path) => (path.includes(',') ? `"${path.replaceAll('"', '""')}"` : path))
  return quoted.length ? ['--lora', quoted.join(',')] : []
}
