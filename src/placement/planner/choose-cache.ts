import type { Plan, PlanResult, PlanWishes } from '../contract.ts'

/**
 * Plans with the KV cache that was asked for. Of `auto` 16 bits are taken where devices hold the model with them; else 8
 * bits with flash attention, which such a cache needs, where these make it fit, or keep all of it on devices. Pure.
 */
export function chooseCache(wishes: PlanWishes, plan: (wishes: PlanWishes) => PlanResult): PlanResult {
  if (wishes.kvCacheType !== 'auto') return plan(wishes)
  const fine = plan({ ...wishes, kvCacheType: 'f16' })
  if (wishes.flashAttention === 'off' || (fine.ok && !usesHost(fine.plans[0]))) return fine
  const small = plan({ ...wishes, kvCacheType: 'q8_0', flashAttention: 'on' })
  if (!small.ok || (fine.ok && usesHost(small.plans[0]))) return fine
  const [best, ...others] = small.plans
  const why = fine.ok
    ? 'with one of 16 bits some of the model would lie in host memory'
    : 'with one of 16 bits the model fits nowhere'
  const reason = `The KV cache has 8 bits (q8_0), with flash attention: ${why}.`
  return { ...small, plans: [{ ...best, reasons: [...best.reasons, reason] }, ...others] }
}

function usesHost({ instances }: Plan): boolean {
  return instances.some(({ parts }) =>
    parts.some(({ kind, hostExperts }) => kind === 'cpu' || hostExperts.length > 0),
  )
}
