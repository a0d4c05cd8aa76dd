import { between } from './layer-sums.ts'
import { allReduceS, hostLink } from './links.ts'
import {
  activationBytes,
  betweenStagesS,
  hostExpertSum,
  type Machine,
  remoteS,
  type Stage,
} from './stages.ts'

/** One step of decoding. */
export interface StepShape {
  /** Tokens of all streams together. */
  tokens: number
  /** Each reads its own KV cache. */
  streams: number
  /** Tokens in each cache. */
  usedTokens: number
}

/** Seconds of a step, and of its slowest stage with what it hands on. */
export interface StepTime {
  wholeS: number
  slowestS: number
}

/** A layer is added up over its devices twice: after attention and after the feed-forward part. */
const allReducesPerLayer = 2

/** What a step of decoding takes; stages follow each other. */
export function decodeStep(machine: Machine, step: StepShape): StepTime {
  const bytes = activationBytes(machine, step.tokens)
  let wholeS = 0
  let slowestS = 0
  machine.stages.forEach((stage, at) => {
    const next = machine.stages[at + 1]
    const handedS = next ? betweenStagesS(machine, stage, next, bytes) : 0
    const stageS = decodeStageS(machine, stage, step, bytes) + remoteS(machine, stage) + handedS
    wholeS += stageS
    slowestS = Math.max(slowestS, stageS)
  })
  return { wholeS, slowestS }
}

/** The slowest of a stage's devices reads its share of weights and caches, or computes, whichever takes longer. */
function decodeStageS(machine: Machine, stage: Stage, step: StepShape, bytes: number): number {
  const { sums, costs } = machine
  const { first, end } = stage
  const expertReads = sums.expertReads(step.tokens)
  const hostReads = stage.hostExperts.length > 0 ? hostExpertSum(stage, expertReads) : 0
  const head = stage.output ? costs.output : { weightsBytes: 0, flopsPerToken: 0 }
  const weights = between(sums.denseBytes, first, end) + between(expertReads, first, end) - hostReads
  const perTokenOfCache = 1 / machine.instance.contextLength
  const cache =
    between(sums.kvReadBytes, first, end) * step.streams * Math.min(1, step.usedTokens * perTokenOfCache)
  const flops = step.tokens * (between(sums.flops, first, end) + head.flopsPerToken)
  let computeS = 0
  stage.parts.forEach((part, at) => {
    const rates = stage.rates[at]
    if (!rates) return
    const readS = ((weights + head.weightsBytes + cache) * part.share) / rates.memoryBytesPerS
    const arithmeticS = (flops * part.share) / rates.flopsPerS
    computeS = Math.max(computeS, Math.max(readS, arithmeticS) + rates.layerOverheadS * (end - first))
  })
  return computeS + reduceS(stage, bytes) + hostExpertsS(machine, stage, hostReads)
}

export function reduceS(stage: Stage, bytes: number): number {
  if (!stage.wire) return 0
  const rounds = allReducesPerLayer * (stage.end - stage.first) + (stage.output ? 1 : 0)
  return rounds * allReduceS(stage.wire, stage.parts.length, bytes)
}

/** The CPU reads the experts that lie in host memory; each such layer goes to the host and back. */
function hostExpertsS({ host }: Machine, stage: Stage, hostReads: number): number {
  if (stage.hostExperts.length === 0) return 0
  const perLayerS = 2 * hostLink.latencyS + host.layerOverheadS
  return hostReads / host.memoryBytesPerS + stage.hostExperts.length * perLayerS
}
