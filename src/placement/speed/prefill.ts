import { between } from './layer-sums.ts'
import { hostLink } from './links.ts'
import {
  activationBytes,
  betweenStagesS,
  hostExpertSum,
  type Machine,
  remoteS,
  type Stage,
} from './stages.ts'
import { reduceS } from './steps.ts'

/** Tokens that engines compute at once: llama.cpp's physical batch. */
const chunkTokens = 512

/**
 * Seconds until a prompt of `tokens` is computed, its cache empty before. It is cut into chunks, and while a stage has
 * one the stage before it has the next (unless it may not overlap); a process that passes through the host or the network does them one by one.
 */
export function prefillS(machine: Machine, tokens: number, mayOverlap = true): number {
  const chunks = Math.max(1, Math.ceil(tokens / chunkTokens))
  const perChunk = tokens / chunks
  const bytes = activationBytes(machine, perChunk)
  const times = machine.stages.map((stage, at) => {
    const next = machine.stages[at + 1]
    const handedS = next ? betweenStagesS(machine, stage, next, bytes) : 0
    return chunkS(machine, stage, perChunk, bytes) + remoteS(machine, stage) + handedS
  })
  const wholeS = times.reduce((sum, time) => sum + time, 0)
  return mayOverlap && overlaps(machine) ? wholeS + (chunks - 1) * Math.max(...times) : wholeS * chunks
}

/** llama.cpp overlaps chunks only where all layers lie on local devices. */
function overlaps({ stages, instance }: Machine): boolean {
  if (instance.engine === 'vllm' || instance.engine === 'sglang') return true
  return stages.every(
    ({ remote, parts, hostExperts }) =>
      !remote && hostExperts.length === 0 && parts.every(({ kind }) => kind === 'gpu'),
  )
}

function chunkS(machine: Machine, stage: Stage, tokens: number, bytes: number): number {
  const { sums } = machine
  const { first, end } = stage
  const reads = sums.expertReads(Math.ceil(tokens))
  const hostReads = stage.hostExperts.length > 0 ? hostExpertSum(stage, reads) : 0
  const weights = between(sums.denseBytes, first, end) + between(reads, first, end) - hostReads
  // The head is asked for the last token only.
  const flops = tokens * between(sums.flops, first, end)
  let slowestS = 0
  stage.parts.forEach((part, at) => {
    const rates = stage.rates[at]
    if (!rates) return
    const readS = (weights * part.share) / rates.memoryBytesPerS
    const arithmeticS = (flops * part.share) / rates.flopsPerS
    slowestS = Math.max(slowestS, Math.max(readS, arithmeticS) + rates.layerOverheadS * (end - first))
  })
  // For chunks llama.cpp copies experts from host memory to the device: their arithmetic is in the sum above.
  return slowestS + reduceS(stage, bytes) + hostReads / hostLink.bytesPerS
}
