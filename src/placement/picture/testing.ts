import type { Inventory, MemoryParts, Plan, PlanInstance, PlanModel, PlanPart } from '../contract.ts'

const gib = 2 ** 30

/** Memory parts from GiB. */
export function memoryOf(
  weights: number,
  kvCache = 0,
  compute = 0,
  overhead = 0,
  projector = 0,
  draft = 0,
): MemoryParts {
  const sizes = [weights, kvCache, compute, overhead, projector, draft].map((size) => size * gib)
  const [
    weightsBytes = 0,
    kvCacheBytes = 0,
    computeBytes = 0,
    overheadBytes = 0,
    projectorBytes = 0,
    draftBytes = 0,
  ] = sizes
  const totalBytes = sizes.reduce((sum, size) => sum + size, 0)
  return { weightsBytes, kvCacheBytes, computeBytes, overheadBytes, projectorBytes, draftBytes, totalBytes }
}

/** A part on the n-th device of an inventory. */
export function partOf(inventory: Inventory, at: number, changes: Partial<PlanPart> = {}): PlanPart {
  const device = inventory.devices[at]
  if (!device) throw new RangeError(`the inventory has no device ${at}`)
  return {
    deviceId: device.id,
    node: device.node,
    kind: 'gpu',
    stage: 0,
    layers: [0, 80],
    share: 1,
    hostExperts: [],
    output: false,
    memory: memoryOf(10, 1, 1, 0.5),
    remote: false,
    ...changes,
  }
}

export function instanceOf(parts: readonly PlanPart[], changes: Partial<PlanInstance> = {}): PlanInstance {
  return {
    engine: 'llama.cpp',
    node: parts[0]?.node ?? 'node1',
    splitMode: parts.length > 1 ? 'layer' : 'none',
    tensorSize: 1,
    pipelineSize: parts.length,
    parts,
    host: memoryOf(0.5, 0, 0.1),
    contextLength: 8192,
    slots: 1,
    kvCacheType: 'f16',
    ...changes,
  }
}

export function planOf(instances: readonly PlanInstance[], changes: Partial<Plan> = {}): Plan {
  return {
    strategy: 'pipeline',
    model: 'llama3.1:70b',
    instances,
    speed: {
      decodeTokensPerS: 20,
      throughputTokensPerS: 20,
      prefillTokensPerS: 500,
      ttftMs: 1000,
      promptTokens: 512,
    },
    reasons: [],
    ...changes,
  }
}

/** A model of which only the name counts. */
export const namedModel: PlanModel = {
  name: 'llama3.1:70b',
  format: 'gguf',
  fileType: 'Q4_K_M',
  shape: {
    architecture: 'llama',
    parameterCount: 70e9,
    layerCount: 80,
    contextLength: 131072,
    embeddingLength: 8192,
    feedForwardLength: 28672,
    headCount: 64,
    headCountKv: new Array<number>(80).fill(8),
    keyLength: 128,
    valueLength: 128,
    vocabularySize: 128256,
    weightBytes: 42e9,
    layerBytes: new Array<number>(80).fill(500e6),
    inputBytes: 1e9,
    outputBytes: 1e9,
  },
}
