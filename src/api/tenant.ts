import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { FastifyRequest } from 'fastify'

/** Who sends no key shares with all who send none. */
const everybody = 'default'
const longestName = 64
/** Begins the tenants that have a key; no name may, lest it reach what belongs to a key. */
const keyMark = 'key:'

/** For whom requests are made that come from this process itself, and have no key to show. */
const acting = new AsyncLocalStorage<string>()

/**
 * Whose request this is: a short hash of its API key (`Authorization: Bearer`, `x-api-key`), so that no key is kept or
 * logged; without a key, the name in `X-Drover-Tenant`, by which a trusted proxy can tell its users apart.
 */
export function tenantOf(request: FastifyRequest): string {
  const tenant = acting.getStore()
  if (tenant !== undefined) return tenant
  const { authorization, 'x-api-key': apiKey, 'x-drover-tenant': named } = request.headers
  const key = /^Bearer\s+(\S+)/i.exec(authorization ?? '')?.[1] ?? apiKey
  if (typeof key === 'string' && key !== '')
    return keyMark + createHash('sha256').update(key).digest('hex').slice(0, 16)
  const name = typeof named === 'string' ? named.trim().slice(0, longestName) : ''
  return name === '' || name.startsWith(keyMark) ? everybody : name
}

/** Makes the requests within `action` a tenant's, whatever their headers say: work that was accepted for it before. */
export function actFor<T>(tenant: string, action: () => Promise<T>): Promise<T> {
  return acting.run(tenant, action)
}
