import { access } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import type { DeviceMemory, InstanceSpec } from '../contract.ts'
import { askServer, findServer } from './probe.ts'

const mib = 2 ** 20
const printFlag = '--fit-print'

/** What llama.cpp's own program reckons an instance would take, in whole MiB. */
export interface SecondOpinion {
  /** The program that was asked. */
  program: string
  devices: readonly DeviceMemory[]
}

/**
 * Asks `llama-fit-params`, where it lies beside `llama-server`, what an instance would take. It reads the model's header
 * and allocates nothing. It counts the logits of a whole batch, which newer servers do not keep, and leaves out weights
 * that a CPU packs in an order of its own. Undefined where there is no such program, or it cannot tell; never throws.
 */
export async function askFitParams(
  where: { serverPath?: string | undefined; enginesDir: string },
  spec: InstanceSpec,
): Promise<SecondOpinion | undefined> {
  const server = await findServer(where)
  if (!('version' in server)) return undefined
  const program = join(
    dirname(server.path),
    basename(server.path).replace('llama-server', 'llama-fit-params'),
  )
  if (program === server.path || !(await exists(program))) return undefined
  try {
    const help = await askServer(program, ['--help'])
    if (!help.includes(printFlag)) return undefined
    const devices = parseFitPrint(await askServer(program, fitParamsLine(spec, help)))
    return devices.length > 0 ? { program, devices } : undefined
  } catch {
    // A model or a flag that this version does not know: there is no second opinion then.
    return undefined
  }
}

/** The program's arguments for an instance; of flags that not every version has only those that its help names. */
export function fitParamsLine(spec: InstanceSpec, help: string): string[] {
  const args = ['--model', spec.modelPath, printFlag, 'on']
  const optional = (flag: string, ...values: string[]) => {
    if (help.includes(flag)) args.push(flag, ...values)
  }
  args.push('-c', String(spec.contextLength * spec.slots))
  optional('--parallel', String(spec.slots))
  optional('--flash-attn', spec.flashAttention)
  if (spec.kvCacheType !== 'f16') {
    args.push('--cache-type-k', spec.kvCacheType, '--cache-type-v', spec.kvCacheType)
  }
  if (spec.batchSize !== undefined) args.push('-b', String(spec.batchSize), '-ub', String(spec.batchSize))
  if (spec.gpuLayers !== 'auto') args.push('--n-gpu-layers', String(spec.gpuLayers))
  if (spec.gpuLayers === 0) optional('--device', 'none')
  if (spec.split) {
    optional('--split-mode', spec.split.mode)
    optional('--device', spec.split.devices.join(','))
    optional('--tensor-split', spec.split.weights.join(','))
  }
  return args
}

/** Reads lines of a device's name and its MiB of weights, cache and buffers: `CUDA0 17904 384 898`. */
export function parseFitPrint(text: string): DeviceMemory[] {
  return [...text.matchAll(/^(\S+) +(\d+) +(\d+) +(\d+) *$/gm)].map(([, name = '', ...counts]) => {
    const [modelBytes = 0, kvCacheBytes = 0, computeBytes = 0] = counts.map((count) => Number(count) * mib)
    return { name, host: name === 'Host', modelBytes, kvCacheBytes, computeBytes, outputBytes: 0 }
  })
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
