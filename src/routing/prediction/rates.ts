import type { Rates } from '../policy/contract.ts'
import type { Predictor, RatesOf } from './contract.ts'
import { guesses, guessRates, known, shareOfRequest } from './guess.ts'
import { createRecent, type Recent } from './recent.ts'
import { createRunningMean, type RunningMean } from './running-mean.ts'
import { createStepLine, type StepLine } from './step-line.ts'

/** How much is kept, in entries; what was measured longest ago makes room. */
export const ratesLimits = { instances: 4096, modelsOfInstance: 16, alike: 2048, kinds: 256 }

/** A prompt of so many tokens tells a quarter of what a long one does: below, fixed costs hide the speed. */
const prefillHalfway = 128
/** An answer of so many steps tells half of what a long one does. */
const stepsHalfway = 8
/** From this weight on an estimate is believed: one prompt of 24 tokens, or five of 10. */
const believed = 0.02
/** Bounds of what is believed of a measurement; beyond them it counts as the bound. */
const bounds = {
  prefillMsPerToken: [1e-6, 1e6],
  stepMs: [1e-4, 1e7],
  batch: [1, 1e4],
  loadMs: [1, 1e8],
  gigabytes: [1e-3, 1e6],
} as const

/** What is learnt of one instance, or of several that are alike. */
interface Learner {
  /** Milliseconds a token. */
  prefill: RunningMean
  decode: StepLine
  load: RunningMean
}

/** One model on one instance. */
interface Measured extends Learner {
  /** What `rates` returns, until something is learnt; absent while prefill or decode has not been measured here. */
  rates?: Rates
}

/** Who is told what an instance does, and by what its times have to be divided for that. */
interface Pupil {
  learner: Learner
  scale: number
}

/** One rung of the ladder: whose estimates, if any, and by what they have to be multiplied. */
interface Rung {
  learner: Learner | undefined
  scale: number
}

/** Rates of instances, learnt on-line. */
export type RatesBook = Pick<Predictor, 'rates' | 'observe' | 'observeLoad' | 'forget'>

/**
 * For prefill, decode and load each on its own, the first that is believed of: this model on this instance; this model
 * on the same kind of instance; any model on that kind, scaled by the models' bytes; a guess by roofline.
 *
 * A new instance begins where those like it stand, so its first and untypical requests move little. `rates` of an
 * instance that was measured costs two look-ups and returns the same object until something is learnt.
 */
export function createRatesBook(limits = ratesLimits): RatesBook {
  const instances = createRecent<number, Recent<string, Measured>>(limits.instances)
  const alike = createRecent<string, Learner>(limits.alike)
  /** In milliseconds a gigabyte of the model. */
  const kinds = createRecent<string, Learner>(limits.kinds)

  function rungsOf(of: RatesOf): Rung[] {
    return [
      { learner: instances.peek(of.instance)?.peek(of.model), scale: 1 },
      { learner: alike.peek(alikeKey(of)), scale: 1 },
      { learner: known(of.modelBytes) ? kinds.peek(of.kind) : undefined, scale: gigabytes(of) },
    ]
  }

  function climb(of: RatesOf): Rates {
    const rungs = rungsOf(of)
    const prefill = rungs.findIndex(({ learner }) => isBelieved(learner?.prefill))
    const decode = rungs.findIndex(({ learner }) => isBelieved(learner?.decode))
    const load = rungs.findIndex(({ learner }) => isBelieved(learner?.load))
    const guess = guessRates(of)
    return inBounds({
      ...guess,
      ...prefillOf(rungs[prefill]),
      ...decodeOf(rungs[decode]),
      ...loadOf(rungs[load]),
      source: sourceOf(prefill, decode),
    })
  }

  /** Its own learner comes first: where it begins anew, it begins where the others stood before. */
  function pupils(of: RatesOf): Pupil[] {
    const share = shareOfRequest(of)
    const near = alike.use(alikeKey(of), () => createLearner(share))
    const models = instances.use(of.instance, () => createRecent(limits.modelsOfInstance))
    const own = models.use(of.model, () => createLearner(share, near))
    const one = [
      { learner: own, scale: 1 },
      { learner: near, scale: 1 },
    ]
    if (!known(of.modelBytes)) return one
    const far = kinds.use(of.kind, () => createLearner(guesses.shareOfRequest))
    return [...one, { learner: far, scale: gigabytes(of) }]
  }

  function teach(of: RatesOf, lesson: (pupil: Pupil) => void): void {
    pupils(of).forEach(lesson)
    const own = instances.peek(of.instance)?.peek(of.model)
    if (own && isBelieved(own.prefill) && isBelieved(own.decode)) own.rates = climb(of)
  }

  return {
    rates: (of) => instances.peek(of.instance)?.peek(of.model)?.rates ?? climb(of),
    observe({ of, computedTokens, prefillMs, outputTokens, decodeMs, batch }) {
      const msPerToken = prefillMs / computedTokens
      const steps = outputTokens - 1
      const stepMs = decodeMs / steps
      const requests = known(batch) ? clamp(batch, bounds.batch) : 1
      teach(of, ({ learner, scale }) => {
        if (known(computedTokens) && known(msPerToken)) {
          const weight = (computedTokens / (computedTokens + prefillHalfway)) ** 2
          learner.prefill.learn(clamp(msPerToken, bounds.prefillMsPerToken) / scale, weight)
        }
        if (known(steps) && known(stepMs)) {
          const weight = steps / (steps + stepsHalfway)
          learner.decode.learn(clamp(stepMs, bounds.stepMs) / scale, requests, weight)
        }
      })
    },
    observeLoad(of, loadMs) {
      if (!known(loadMs)) return
      teach(of, ({ learner, scale }) => learner.load.learn(clamp(loadMs, bounds.loadMs) / scale, 1))
    },
    forget(instance) {
      instances.delete(instance)
    },
  }
}

function createLearner(share: number, seed?: Learner): Learner {
  return {
    prefill: createRunningMean(seed?.prefill),
    decode: createStepLine(share, seed?.decode),
    load: createRunningMean(seed?.load),
  }
}

function alikeKey({ model, kind }: RatesOf): string {
  return `${model}\0${kind}`
}

/** 1 where it is unknown. */
function gigabytes({ modelBytes }: RatesOf): number {
  return known(modelBytes) ? clamp(modelBytes / 1e9, bounds.gigabytes) : 1
}

function isBelieved(estimate: { weight: number } | undefined): boolean {
  return estimate !== undefined && estimate.weight >= believed
}

function prefillOf(rung: Rung | undefined): Partial<Rates> {
  if (!rung?.learner) return {}
  return { prefillTokensPerS: 1000 / (rung.learner.prefill.value * rung.scale) }
}

function decodeOf(rung: Rung | undefined): Partial<Rates> {
  if (!rung?.learner) return {}
  const { base, perRequest } = rung.learner.decode.step
  return { decodeBaseMs: base * rung.scale, decodePerRequestMs: perRequest * rung.scale }
}

function loadOf(rung: Rung | undefined): Partial<Rates> {
  return rung?.learner ? { loadMs: rung.learner.load.value * rung.scale } : {}
}

/** By the better of the two: what never decodes, an embedder, can still be measured. */
function sourceOf(prefillRung: number, decodeRung: number): Rates['source'] {
  if (prefillRung === 0 || decodeRung === 0) return 'measured'
  return prefillRung > 0 || decodeRung > 0 ? 'alike' : 'guess'
}

/** Facts may be absurd, rates may not: nothing is negative, infinite or without an end. */
function inBounds(rates: Rates): Rates {
  const { prefillTokensPerS, decodeBaseMs, decodePerRequestMs, loadMs, source } = rates
  const [least, most] = bounds.stepMs
  return {
    prefillTokensPerS: 1000 / clamp(1000 / prefillTokensPerS, bounds.prefillMsPerToken),
    decodeBaseMs: clamp(decodeBaseMs, [decodePerRequestMs >= least ? 0 : least, most]),
    decodePerRequestMs: clamp(decodePerRequestMs, [0, most]),
    loadMs: clamp(loadMs, bounds.loadMs),
    source,
  }
}

function clamp(value: number, [least, most]: readonly [number, number]): number {
  return Math.min(most, Math.max(least, value))
}
