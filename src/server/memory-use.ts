import { basename } from 'node:path'
import type { EngineName } from '../engines/index.ts'
import { backendOf, type FitRequest, type MemoryKey, type WorkerDevice } from '../placement/index.ts'
import type { ResolvedModel } from '../routing/index.ts'

/** What a model's use of memory on these devices is remembered by. */
export function memoryKeyOf(
  model: ResolvedModel,
  devices: readonly WorkerDevice[],
  engine: EngineName,
): MemoryKey {
  const { file, stored } = model.description
  const gpu = devices.find(({ kind }) => kind === 'gpu')
  const backend = gpu ? backendOf(gpu.device.vendor, gpu.engineName) : 'cpu'
  return {
    model: basename(stored.modelPath),
    architecture: file.shape.architecture,
    fileType: file.fileType,
    backend: `${engine} ${backend}`,
  }
}

/** What memory follows from, beside the model: where it is to lie, and which engine computes. */
export function memoryTraitsOf(
  devices: readonly WorkerDevice[],
  engine: EngineName,
): Pick<FitRequest, 'cpu' | 'batchLogits'> {
  const onCpu = devices.length > 0 && devices.every(({ kind }) => kind === 'cpu')
  const amx = devices.some(({ device }) => device.architecture?.split(' ').includes('amx_int8'))
  return { cpu: onCpu ? { amx } : undefined, batchLogits: engine === 'embedded' }
}
