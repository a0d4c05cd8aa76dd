import type { InstanceSpec } from '../contract.ts'
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
  },
): string[] {
  const { endpoint } = options
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
  optional(spec.contextShift ? '--context-shift' : '--no-context-shift')
  args.push(...devices(spec, server), ...memory(spec, server), ...batches(spec))

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

function devices(spec: InstanceSpec, server: ServerFacts): string[] {
  const args: string[] = []
  if (spec.gpuLayers === 'auto') {
    if (server.devices.length && !server.gpuLayersTakesAuto) args.push('--n-gpu-layers', '999')
  } else {
    args.push('--n-gpu-layers', String(spec.gpuLayers))
    // Without layers a GPU would still get compute buffers.
    if (spec.gpuLayers === 0 && server.flags.has('--device')) args.push('--device', 'none')
  }
  // With the layers given, or no GPU, nothing is left to fit, and fitting reads the model's header once more.
  const nothingToFit = spec.gpuLayers !== 'auto' || server.devices.length === 0
  if (nothingToFit && server.flags.has('--fit')) args.push('--fit', 'off')
  return args
}

function memory(spec: InstanceSpec, server: ServerFacts): string[] {
  const args: string[] = []
  if (server.flashAttentionTakesValue) args.push('--flash-attn', spec.flashAttention)
  else if (spec.flashAttention === 'on') args.push('--flash-attn')
  if (spec.kvCacheType !== 'f16') {
    args.push('--cache-type-k', spec.kvCacheType, '--cache-type-v', spec.kvCacheType)
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
  return size === undefined ? [] : ['-b', String(size), '-ub', String(size)]
}

function adapters(paths: readonly string[], byComma: boolean): string[] {
  if (!byComma) return paths.flatMap((path) => ['--lora', path])
  const quoted = paths.map((path) => (path.includes(',') ? `"${path.replaceAll('"', '""')}"` : path))
  return quoted.length ? ['--lora', quoted.join(',')] : []
}
