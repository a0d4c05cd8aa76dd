import type { ModelCosts, PlanModel, PlanWishes, RunShape } from '../contract.ts'

/** Works out what a model costs under a run: `costsOf`, perhaps with corrections learnt. */
export type CostsOf = (model: PlanModel, run: RunShape) => ModelCosts

/** Ways to run a model, what is wanted most first: fewer slots, then a shorter context, where these are open. */
export interface Runs {
  levels: readonly RunShape[]
  /** What would be wanted if no other models were beside it. */
  wanted: RunShape | undefined
  costs(run: RunShape): ModelCosts
}

/** Slots where nobody says how many: as many as fit of these. */
const slotsForLatency = [4, 3, 2, 1]
/** Where all streams together count: what a card's arithmetic can still use (decoding is bound by memory until then). */
const slotsForThroughput = [64, 32, 16, 8, 4, 3, 2, 1]

/** An automatic context is not cut below this, or below the trained one where that is shorter. */
const shortestAutomaticContext = 4096
/** What a stream needs as a rule: a conversation, not a book. */
const usualStreamContext = 8192
/** Of a model that does not say what it was trained for. */
const unknownContext = 4096
const shortestContext = 4
/** llama.cpp's padding of a context. */
export const contextStep = 256
const usualBatchSize = 512
/** Embedding models take an input as one batch. */
const embeddingBatchSize = 2048

export function runsOf(model: PlanModel, wishes: PlanWishes, costsOf: CostsOf): Runs {
  const known = new Map<string, ModelCosts>()
  const { beside, ...alone } = wishes
  const levels = levelsOf(model, wishes)
  return {
    levels,
    wanted: beside ? levelsOf(model, alone)[0] : levels[0],
    costs: (run) => {
      const key = `${run.contextLength} ${run.slots} ${run.flashAttention}`
      let costs = known.get(key)
      if (!costs) {
        costs = costsOf(model, run)
        known.set(key, costs)
      }
      return costs
    },
  }
}

function levelsOf(model: PlanModel, wishes: PlanWishes): RunShape[] {
  const contexts = contextsOf(model, wishes)
  const slots = slotsOf(model, wishes)
  const run = (contextLength: number, count: number): RunShape => ({
    contextLength,
    slots: count,
    kvCacheType: wishes.kvCacheType ?? 'f16',
    batchSize: wishes.batchSize ?? (model.embedding ? embeddingBatchSize : usualBatchSize),
    flashAttention: wishes.flashAttention ?? 'auto',
  })
  const order =
    wishes.objective === 'throughput' ? streamsFirst(contexts, slots) : contextFirst(contexts, slots)
  return order.map(([context, count]) => run(context, count))
}

type Level = readonly [contextLength: number, slots: number]

/** A short context hurts every long request, fewer slots only make requests wait for each other. */
function contextFirst(
  [longest = unknownContext, ...shorter]: readonly number[],
  slots: readonly number[],
): Level[] {
  const fewest = slots.at(-1) ?? 1
  return [
    ...slots.map((count): Level => [longest, count]),
    ...shorter.map((context): Level => [context, fewest]),
  ]
}

/** Where all streams count, they come before a context longer than most requests need. */
function streamsFirst(contexts: readonly number[], slots: readonly number[]): Level[] {
  const [most = 1, ...fewer] = slots
  const usual = contexts.filter((context) => context >= usualStreamContext)
  const long = usual.length > 0 ? usual : contexts.slice(0, 1)
  const short = contexts.slice(long.length)
  const least = long.at(-1) ?? unknownContext
  return [
    ...long.map((context): Level => [context, most]),
    ...fewer.map((count): Level => [least, count]),
    ...short.map((context): Level => [context, slots.at(-1) ?? 1]),
  ]
}

/** The longest first; between two of them the last step is sought when the layout is known. */
export function contextsOf(
  { shape }: PlanModel,
  { contextLength, defaultContextLength, beside }: PlanWishes,
): number[] {
  const trained = shape.contextLength > 0 ? shape.contextLength : Number.POSITIVE_INFINITY
  const usual = Number.isFinite(trained) ? trained : unknownContext
  const wanted = Math.max(shortestContext, Math.floor(contextLength ?? defaultContextLength ?? usual))
  const cap = contextLength === undefined ? beside?.contextLength : undefined
  const most = Math.min(wanted, trained, cap ?? Number.POSITIVE_INFINITY)
  if (contextLength !== undefined || most <= shortestAutomaticContext) return [most]
  const shorter: number[] = []
  for (let context = shortestAutomaticContext; context < most; context *= 2) {
    shorter.push(context)
    if (context * 1.5 < most) shorter.push(context * 1.5)
  }
  return [most, ...shorter.reverse()]
}

function slotsOf({ embedding }: PlanModel, wishes: PlanWishes): readonly number[] {
  const { slots, objective, microBatchSize, pipelineSize = 1 } = wishes
  if (slots !== undefined) return [Math.max(1, Math.floor(slots))]
  if (embedding) return [1]
  if (microBatchSize !== undefined) return [microBatchSize * pipelineSize]
  const most = wishes.beside?.slots ?? Number.POSITIVE_INFINITY
  return (objective === 'throughput' ? slotsForThroughput : slotsForLatency).filter((count) => count <= most)
}
