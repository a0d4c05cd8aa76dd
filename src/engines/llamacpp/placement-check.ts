import type { InstanceSpec } from '../contract.ts'
import { offloadedLayers } from './launch-line.ts'

/** Weights in host memory are no device's. */
const hostBuffer = /^(CPU|AMX|BLAS|Host)|_Host$/

/**
 * Holds what a server printed while it loaded against the split that it was told: the number of layers on devices, and
 * that each device of the split, and no other, has weights. One sentence for each difference, with both sides; none
 * where the spec has no split, or the log does not tell. `bufferNames` are the devices' names in the log's lines of
 * buffers, by their names in the split, where these are others (`RPC0[host:port]`).
 */
export function placementDifferences(log: string, spec: InstanceSpec): string[] {
  const { split } = spec
  if (!split) return []
  // The draft model's lines come after the model's own, and look the same.
  const own = log.split(/loading draft model/)[0] ?? ''
  return [...layerDifferences(own, spec), ...deviceDifferences(own, spec)]
}

function layerDifferences(log: string, { split, gpuLayers }: InstanceSpec): string[] {
  const [, placed, all] = /offloaded (\d+)\/(\d+) layers/.exec(log) ?? []
  if (!split || placed === undefined || all === undefined) return []
  const wished = gpuLayers === 'auto' ? offloadedLayers(split) : gpuLayers
  const wanted = Math.min(wished, Number(all))
  return Number(placed) === wanted
    ? []
    : [`${wanted} of ${all} layers were to lie on devices, the engine placed ${placed}`]
}

function deviceDifferences(log: string, { split }: InstanceSpec): string[] {
  const mibByDevice = new Map<string, number>()
  for (const [, name = '', mib] of log.matchAll(/(\S+) +model buffer size += +([\d.]+) MiB/g)) {
    if (!hostBuffer.test(name)) mibByDevice.set(name, (mibByDevice.get(name) ?? 0) + Number(mib))
  }
  // One that holds its tensors in pieces prints them under a name of its own.
  if (!split || split.mode === 'tensor' || mibByDevice.size === 0) return []
  const alone = split.mode === 'none'
  const wanted = alone ? split.devices.slice(0, 1) : split.devices
  const empty = wanted.flatMap((device, index) => {
    const share = split.weights[index] ?? 0
    return (alone || share > 0) && !mibByDevice.has(device)
      ? [`${device} was to hold ${alone ? 'all' : `a share of ${share}`}, the engine put no weights there`]
      : []
  })
  const strange = [...mibByDevice].flatMap(([name, mib]) =>
    isPartOf(name, wanted) ? [] : [`${name} was to hold nothing, the engine put ${mib} MiB of weights there`],
  )
  return [...empty, ...strange]
}

/** `CUDA0_Split` belongs to `CUDA0`; rows of all devices lie in `CUDA_Split`. */
function isPartOf(buffer: string, names: readonly string[]): boolean {
  return names.some((name) => buffer === name || buffer.startsWith(`${name}_`)) || /_Split$/.test(buffer)
}
