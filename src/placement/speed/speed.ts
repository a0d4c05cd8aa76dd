import type { Inventory, ModelCosts, PlanInstance, PlanModel, PlanSpeed, PlanWishes } from '../contract.ts'
import { between, layerSumsOf } from './layer-sums.ts'
import { prefillS } from './prefill.ts'
import { directoryOf, type Machine, machineOf } from './stages.ts'
import { decodeStep } from './steps.ts'

/** Plans are compared at a prompt and a cache of so many tokens: a conversation of some turns. */
const usualPromptTokens = 1024

/** Guesses of a draft model in one round (llama.cpp's own number), and how many of them are right, each. */
const draftTokens = 3
const acceptance = 0.7

/** What a draft model reaches of the memory bandwidth for its weights, its kernels being small. */
const draftEfficiency = 0.5

type SpeedWishes = Pick<PlanWishes, 'coordinationOverhead' | 'overlapCommunication'>

/**
 * How fast instances of a model answer, by the roofline: decoding reads the active weights once a step and each
 * stream's cache; prompts are bound by arithmetic; what devices hand over is added. Pure.
 *
 * `costs` are those of the instances' context. Throws `RangeError` for an instance on a node that is not in the
 * inventory.
 */
export function speedOf(
  instances: readonly PlanInstance[],
  costs: ModelCosts,
  inventory: Inventory,
  model: PlanModel,
  { coordinationOverhead = 0, overlapCommunication }: SpeedWishes = {},
): PlanSpeed {
  const { embeddingLength } = model.shape
  const machines = instances.map((instance) => machineOf(instance, costs, inventory, embeddingLength))
  const lead = machines[0]
  if (!lead) throw new RangeError('a plan without instances has no speed')
  const promptTokens = promptTokensOf(lead.instance)
  const slowdown = (machine: Machine) => slowdownOf(machine, coordinationOverhead)
  const promptS = prefillS(lead, promptTokens, overlapCommunication) * slowdown(lead)
  const decodeTokensPerS = streamTokensPerS(lead, model, promptTokens) / slowdown(lead)
  const firstStep = decodeStep(lead, { tokens: 1, streams: 1, usedTokens: promptTokens })
  const watts = wattsOf(instances, inventory)
  return {
    decodeTokensPerS,
    throughputTokensPerS: machines.reduce(
      (sum, machine) => sum + allStreamsTokensPerS(machine, model, promptTokens) / slowdown(machine),
      0,
    ),
    prefillTokensPerS: promptTokens / promptS,
    ttftMs: (promptS + firstStep.wholeS * slowdown(lead)) * 1000,
    promptTokens,
    ...(watts !== undefined && { watts }),
  }
}

/** What `speedOf` says of one stream of one instance, without the rest: layouts are compared by it. */
export function decodeTokensPerSOf(
  instance: PlanInstance,
  costs: ModelCosts,
  inventory: Inventory,
  model: PlanModel,
  { coordinationOverhead = 0 }: SpeedWishes = {},
): number {
  const machine = machineOf(instance, costs, inventory, model.shape.embeddingLength)
  return (
    streamTokensPerS(machine, model, promptTokensOf(instance)) / slowdownOf(machine, coordinationOverhead)
  )
}

/** Bytes that a token of one stream reads at the least, wherever they lie. */
export function readBytesOf(costs: ModelCosts, contextLength: number): number {
  const sums = layerSumsOf(costs)
  const layers = costs.layers.length
  const cacheBytes =
    between(sums.kvReadBytes, 0, layers) * (promptTokensOf({ contextLength }) / contextLength)
  const expertBytes = between(sums.expertReads(1), 0, layers)
  return between(sums.denseBytes, 0, layers) + expertBytes + cacheBytes + costs.output.weightsBytes
}

function promptTokensOf({ contextLength }: Pick<PlanInstance, 'contextLength'>): number {
  return Math.max(1, Math.min(usualPromptTokens, Math.floor(contextLength / 2)))
}

function slowdownOf(machine: Machine, coordinationOverhead: number): number {
  return coordinationOverhead > 0 && ofSeveralVendors(machine) ? 1 + coordinationOverhead : 1
}

function ofSeveralVendors({ stages }: Machine): boolean {
  const vendor = stages.find(({ devices }) => devices.length > 0)?.devices[0]?.vendor
  return stages.some(({ devices }) => devices.some((device) => device.vendor !== vendor))
}

/** One stream alone; with a draft model as fast as the better of both ways, since a losing one is switched off. */
function streamTokensPerS(machine: Machine, model: PlanModel, usedTokens: number): number {
  const { wholeS } = decodeStep(machine, { tokens: 1, streams: 1, usedTokens })
  return Math.max(1 / wholeS, withDraft(machine, model, usedTokens))
}

/** Rounds of guesses: each gives the run of right ones and one token more, `(1 - a^(n + 1)) / (1 - a)` on average. */
function withDraft(machine: Machine, model: PlanModel, usedTokens: number): number {
  const { draftDeviceId } = machine.instance
  if (!model.draft || draftDeviceId === undefined) return 0
  const rates = ratesOn(machine, draftDeviceId)
  if (!rates) return 0
  const layers = model.draft.shape.layerCount
  const guessS =
    model.draft.shape.weightBytes / (rates.memoryBytesPerS * draftEfficiency) + layers * rates.layerOverheadS
  const { wholeS } = decodeStep(machine, { tokens: draftTokens + 1, streams: 1, usedTokens })
  const gained = (1 - acceptance ** (draftTokens + 1)) / (1 - acceptance)
  return gained / (wholeS + draftTokens * guessS)
}

function ratesOn({ stages }: Machine, deviceId: string) {
  for (const { parts, rates } of stages) {
    const at = parts.findIndex((part) => part.deviceId === deviceId)
    if (at >= 0) return rates[at]
  }
  return undefined
}

/** All slots at once. vLLM and its kind keep every stage busy with streams of its own; llama.cpp steps all at once. */
function allStreamsTokensPerS(machine: Machine, model: PlanModel, usedTokens: number): number {
  const { slots, engine } = machine.instance
  const step = (streams: number) => decodeStep(machine, { tokens: streams, streams, usedTokens })
  const together = slots / step(slots).wholeS
  const alone = slots === 1 ? streamTokensPerS(machine, model, usedTokens) : 0
  const stages = machine.stages.length
  if ((engine !== 'vllm' && engine !== 'sglang') || stages < 2 || slots < 2) return Math.max(together, alone)
  const groups = Math.min(stages, slots)
  const perGroup = slots / groups
  const { wholeS, slowestS } = step(perGroup)
  return Math.max(together, slots / Math.max(wholeS, groups * slowestS))
}

/** All devices of the instances together; undefined where it is not known of one. */
function wattsOf(instances: readonly PlanInstance[], inventory: Inventory): number | undefined {
  const { devices } = directoryOf(inventory)
  const used = new Set(instances.flatMap(({ parts }) => parts.map((part) => part.deviceId)))
  let sum = 0
  let known = false
  for (const id of used) {
    const device = devices.get(id)
    if (!device) continue
    if (device.watts === undefined) return undefined
    sum += device.watts
    known = true
  }
  return known ? sum : undefined
}
