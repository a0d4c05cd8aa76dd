/**
 * Fair shares by virtual token counters (VTC: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024).
 * Every tenant has a counter of the tokens it was served, divided by its weight, and the least counter is served next.
 * Who comes with nothing waiting is lifted to the least of those who wait, so that nobody saves up credit by staying
 * away. Between two tenants that always have something waiting the counters differ at most by twice the dearest of: one
 * prompt, all answers that one of them may have under way.
 */
import type { AdmissionLimits } from './contract.ts'
import { createOrdered, firstOf, insert, type Ordered, remove, sizeOf } from './ordered.ts'
import type { Lane, Tenant } from './state.ts'

export interface Tenants {
  limits: AdmissionLimits
  /** More tenants than these that have nothing waiting are not remembered. */
  maxIdle: number
  byName: Map<string, Tenant>
  /** Those who wait, the least served first. */
  active: Ordered<Tenant>
  /** Sets the level while nobody waits. */
  lastToLeave: Tenant | undefined
  /** No forgotten tenant had a higher counter. */
  forgottenCounter: number
}

export function createTenants(limits: AdmissionLimits, maxIdle: number): Tenants {
  for (const [name, weight] of Object.entries(limits.tenantWeights ?? {})) {
    if (weight > 0 && weight < Number.POSITIVE_INFINITY) continue
    throw new RangeError(`the weight of tenant "${name}" is ${weight}: it must be finite and above 0`)
  }
  return {
    limits,
    maxIdle,
    byName: new Map(),
    active: createOrdered({ key: ({ counter }) => counter, tie: alphabetically }),
    lastToLeave: undefined,
    forgottenCounter: Number.NEGATIVE_INFINITY,
  }
}

export function weightOf({ limits: { tenantWeights } }: Tenants, name: string): number {
  return tenantWeights && Object.hasOwn(tenantWeights, name) ? (tenantWeights[name] ?? 1) : 1
}

/** One more ticket of this tenant is about to wait. */
export function enter(tenants: Tenants, name: string): Tenant {
  const tenant = find(tenants, name)
  if (tenant.waiting === 0) {
    tenant.counter = Math.max(tenant.counter, level(tenants))
    insert(tenants.active, tenant)
  }
  tenant.waiting++
  return tenant
}

/** One ticket of this tenant waits no longer. */
export function leave(tenants: Tenants, tenant: Tenant): void {
  tenant.waiting--
  if (tenant.waiting > 0) return
  remove(tenants.active, tenant)
  tenants.lastToLeave = tenant
  forget(tenants)
}

/** Tokens were served; below 0: what was charged was not needed. `weight` is that of their kind. */
export function serve(tenants: Tenants, name: string, tokens: number, weight: number): void {
  if (!Number.isFinite(tokens)) {
    throw new RangeError(`${tokens} tokens cannot be charged to tenant "${name}": the number must be finite`)
  }
  const tenant = find(tenants, name)
  tenant.servedTokens += tokens
  // What a counter orders has to be taken out before it changes.
  for (const lane of tenant.lanes) remove(lanesBeside(lane), lane)
  if (tenant.waiting > 0) remove(tenants.active, tenant)
  tenant.counter += (tokens * weight) / tenant.weight
  if (tenant.waiting > 0) insert(tenants.active, tenant)
  for (const lane of tenant.lanes) insert(lanesBeside(lane), lane)
  forget(tenants)
}

function lanesBeside({ group, rank }: Lane): Ordered<Lane> {
  const beside = group.ranks[rank]
  if (!beside) throw new RangeError(`there is no class ${rank}`)
  return beside.lanes
}

function alphabetically(a: Tenant, b: Tenant): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0
}

function find(tenants: Tenants, name: string): Tenant {
  const known = tenants.byName.get(name)
  if (known) return known
  const tenant: Tenant = {
    name,
    weight: weightOf(tenants, name),
    counter: Math.max(level(tenants), tenants.forgottenCounter),
    servedTokens: 0,
    waiting: 0,
    lanes: new Set(),
  }
  tenants.byName.set(name, tenant)
  return tenant
}

function level({ active, lastToLeave }: Tenants): number {
  return (firstOf(active) ?? lastToLeave)?.counter ?? 0
}

/**
 * Forgets, when there are too many idle tenants, the eighth of them that was served least: most are below the level
 * that they would be lifted to anyway. Nobody gains by being forgotten, as unknown tenants start with the highest
 * counter that was forgotten. By eighths, so that the sort is paid by many newcomers.
 */
function forget(tenants: Tenants): void {
  const { byName, active, maxIdle, lastToLeave } = tenants
  const tooMany = byName.size - sizeOf(active) - maxIdle
  if (tooMany <= 0) return
  const idle = [...byName.values()].filter((tenant) => tenant.waiting === 0 && tenant !== lastToLeave)
  idle.sort((a, b) => a.counter - b.counter || alphabetically(a, b))
  for (const { name, counter } of idle.slice(0, Math.max(tooMany, Math.ceil(idle.length / 8)))) {
    byName.delete(name)
    tenants.forgottenCounter = Math.max(tenants.forgottenCounter, counter)
  }
}
