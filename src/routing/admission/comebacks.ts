/**
 * When those who are refused are to come again. Told all the same time, they would come all at once, and be refused
 * again; so each is told the time after the one before of its tenant, as far apart as requests are served. From
 * `longestMs` on it begins anew: not all will come, and nobody is to be kept away from an empty queue.
 */
export interface Comebacks {
  /** In how many milliseconds; `soonestMs` is when there may be room, `eachMs` what the service of one takes. */
  next(tenant: string, nowMs: number, soonestMs: number, eachMs: number): number
}

const longestMs = 60_000
/** Tenants that are remembered; with more, those told last are. */
const mostTenants = 1_000

export function createComebacks(): Comebacks {
  const lastAtMs = new Map<string, number>()
  return {
    next(tenant, nowMs, soonestMs, eachMs) {
      const soonestAtMs = nowMs + soonestMs
      const afterMs = (lastAtMs.get(tenant) ?? 0) + eachMs
      const isLate = afterMs > nowMs + Math.max(longestMs, 2 * soonestMs)
      const atMs = isLate ? soonestAtMs : Math.max(soonestAtMs, afterMs)
      lastAtMs.delete(tenant)
      lastAtMs.set(tenant, atMs)
      const [oldest] = lastAtMs.keys()
      if (lastAtMs.size > mostTenants && oldest !== undefined) lastAtMs.delete(oldest)
      return atMs - nowMs
    },
  }
}
