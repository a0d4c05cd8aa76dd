import type { Plan, PlanModel, PlanResult, PlanWishes } from '../contract.ts'
import { cacheTypeFor } from '../memory/kv-cache.ts'

/**
 * Plans with the KV cache that was asked for. Of `auto` 16 bits are taken where devices hold the model with them; else 8
 * bits with flash attention, which such a cache needs, where these make it fit, or keep all of it on devices. A model
 * whose heads do not divide into blocks has 16 in any case. Pure.
 */
export function chooseCache(
  { format, shape }: PlanModel,
  wishes: PlanWishes,
  plan: (wishes: PlanWishes) => PlanResult,
): PlanResult {
  const { kvCacheType: asked = 'f16' } = wishes
  const possible = (type: string) => (format === 'gguf' ? cacheTypeFor(shape, type) : type)
  if (asked !== 'auto') {
    const type = possible(asked)
    return type === asked
      ? plan(wishes)
      : withReason(plan({ ...wishes, kvCacheType: type }), notDivided(asked))
  }
  const fine = plan({ ...wishes, kvCacheType: 'f16' })
  const noSmaller = wishes.flashAttention === 'off' || possible('q8_0') !== 'q8_0'
  if (noSmaller || (fine.ok && !usesHost(fine.plans[0]))) return fine
  const small = plan({ ...wishes, kvCacheType: 'q8_0', flashAttention: 'on' })
  if (!small.ok || (fine.ok && usesHost(small.plans[0]))) return fine
  const why = fine.ok
    ? 'with one of 16 bits some of the model would lie in host memory'
    : 'with one of 16 bits the model fits nowhere'
  return withReason(small, `The KV cache has 8 bits (q8_0), with flash attention: ${why}.`)
}

const notDivided = (asked: string) =>
  `The KV cache is f16: the model's heads do not divide into the blocks of ${asked}.`

function withReason(result: PlanResult, reason: string): PlanResult {
  if (!result.ok) return result
  const [best, ...others] = result.plans
  return { ...result, plans: [{ ...best, reasons: [...best.reasons, reason] }, ...others] }
}

function usesHost({ instances }: Plan): boolean {
  return instances.some(({ parts }) =>
    parts.some(({ kind, hostExperts }) => kind === 'cpu' || hostExperts.length > 0),
  )
}
