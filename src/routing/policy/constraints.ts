/**
 * Which instances a request may run on at all. Constraints come before policies: what is excluded here no policy sees.
 * In this order, the first that excludes is the reason: health, pins, tenant, context, memory, precision,
 * capabilities, labels, watts, cost. A need that no fact of the instance answers excludes it: a limit in watts is not
 * kept by hoping. Linear in the candidates.
 */
import type { Candidate, RouteRequest } from './contract.ts'

/** Who may be ranked, in the order given, and who not, with a sentence for people. */
export interface Filtered {
  kept: Candidate[]
  excluded: { id: number; reason: string }[]
}

export function filterCandidates(request: RouteRequest, candidates: readonly Candidate[]): Filtered {
  const kept: Candidate[] = []
  const excluded: Filtered['excluded'] = []
  for (const candidate of candidates) {
    const reason = exclusion(request, candidate)
    if (reason === undefined) kept.push(candidate)
    else excluded.push({ id: candidate.id, reason })
  }
  return { kept, excluded }
}

function exclusion(request: RouteRequest, candidate: Candidate): string | undefined {
  return (
    healthExcludes(candidate) ??
    pinsExclude(request, candidate) ??
    tenantExcludes(request, candidate) ??
    sizeExcludes(request, candidate) ??
    featuresExclude(request, candidate) ??
    limitsExclude(request, candidate)
  )
}

function healthExcludes({ health }: Candidate): string | undefined {
  if (health > 0) return undefined
  return 'It is not healthy: its checks fail, or too many of its last answers did.'
}

function pinsExclude({ needs }: RouteRequest, { id, deviceIds }: Candidate): string | undefined {
  const pins = needs?.pins ?? []
  if (pins.length === 0 || pins.includes(`#${id}`) || deviceIds.some((device) => pins.includes(device)))
    return undefined
  return `The request is pinned to ${list(pins)}; this is #${id} on ${list(deviceIds)}.`
}

function tenantExcludes({ tenant }: RouteRequest, { tenants }: Candidate): string | undefined {
  if (tenants === undefined || tenants.includes(tenant)) return undefined
  return `It is reserved for ${tenants.length === 0 ? 'nobody' : list(tenants)}; the request is from '${tenant}'.`
}

/**
 * A larger context serves a smaller request. Where the request does not ask for a size the engine cuts its prompt to
 * the context, and that much has to fit into the KV cache.
 */
function sizeExcludes(
  { contextTokens, promptTokens }: RouteRequest,
  candidate: Candidate,
): string | undefined {
  const { contextLength, kvTokens } = candidate
  if (contextTokens !== undefined && contextTokens > contextLength)
    return `The request needs a context of ${contextTokens} tokens; a slot has ${contextLength}.`
  const held = contextTokens ?? Math.min(promptTokens, contextLength)
  if (held > kvTokens)
    return `The request may hold ${held} tokens in the KV cache; there is memory for ${kvTokens}.`
  return undefined
}

function featuresExclude({ needs }: RouteRequest, candidate: Candidate): string | undefined {
  if (needs === undefined) return undefined
  const { precision, capabilities = [], labels = {} } = needs
  if (precision !== undefined && candidate.precisions?.includes(precision) !== true)
    return `The request needs ${precision}; ${candidate.precisions === undefined ? 'the precision of its computing is not known' : `it computes in ${list(candidate.precisions)}`}.`
  const missing = capabilities.filter((name) => candidate.capabilities?.includes(name) !== true)
  if (missing.length > 0)
    return `The request needs ${list(missing)}; what it can do is ${known(candidate.capabilities)}.`
  for (const [name, value] of Object.entries(labels)) {
    const own = labelOf(candidate, name)
    if (own !== value)
      return `The request needs the label ${name}=${value}; it has ${own === undefined ? 'no such label' : `${name}=${own}`}.`
  }
  return undefined
}

function limitsExclude({ needs }: RouteRequest, candidate: Candidate): string | undefined {
  const { maxWatts, maxCostPerMillionTokens: maxCost } = needs ?? {}
  const { watts, costPerMillionTokens: cost } = candidate
  if (maxWatts !== undefined && !(watts !== undefined && watts <= maxWatts))
    return `The request may draw ${maxWatts} W; ${watts === undefined ? 'its watts are not known' : `it draws ${watts} W`}.`
  if (maxCost !== undefined && !(cost !== undefined && cost <= maxCost))
    return `The request may cost ${maxCost} per million tokens; its price is ${cost ?? 'not known'}.`
  return undefined
}

function labelOf({ labels }: Candidate, name: string): string | undefined {
  return labels !== undefined && Object.hasOwn(labels, name) ? labels[name] : undefined
}

function list(names: readonly string[]): string {
  return names.length === 0 ? 'nothing' : names.join(', ')
}

function known(names: readonly string[] | undefined): string {
  return names === undefined ? 'not known' : list(names)
}
