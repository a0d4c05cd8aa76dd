import { AsyncLocalStorage } from 'node:async_hooks'
import { createHash } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Who sends no key shares with all who send none. */
const everybody = 'default'
const longestName = 64
/** Begins the tenants that have a key; no name may, lest it reach what belongs to a key. */
const keyMark = 'key:'

/** For whom this process makes a request itself, and until when it is wanted. */
interface Actor {
  tenant: string
  signal: AbortSignal
}

const acting = new AsyncLocalStorage<Actor>()

/**
 * Whose request this is: a short hash of its API key (`Authorization: Bearer`, `x-api-key`), so that no key is kept or
 * logged; without a key, the name in `X-Drover-Tenant`, by which a trusted proxy can tell its users apart.
 */
export function tenantOf(request: FastifyRequest): string {
  const actor = acting.getStore()
  if (actor) return actor.tenant
  const { authorization, 'x-api-key': apiKey, 'x-drover-tenant': named } = request.headers
  const key = /^Bearer\s+(\S+)/i.exec(authorization ?? '')?.[1] ?? apiKey
  if (typeof key === 'string' && key !== '')
    return keyMark + createHash('sha256').update(key).digest('hex').slice(0, 16)
  const name = typeof named === 'string' ? named.trim().slice(0, longestName) : ''
  return name === '' || name.startsWith(keyMark) ? everybody : name
}

/** Makes the requests within `action` a tenant's, which has no key to show here: work that was accepted for it before. */
export function actFor<T>(actor: Actor, action: () => Promise<T>): Promise<T> {
  return acting.run(actor, action)
}

/** Breaks requests off that are made within `actFor` when its signal aborts, as a client does that leaves. */
export function heedActors(app: FastifyInstance): void {
  app.addHook('onRequest', (_request, reply, next) => {
    const signal = acting.getStore()?.signal
    if (signal) {
      const leave = () => void reply.raw.destroy()
      signal.addEventListener('abort', leave)
      reply.raw.once('close', () => signal.removeEventListener('abort', leave))
    }
    next()
  })
}
