import type { FastifyInstance } from 'fastify'
import type { ExecuteCall } from '../../../routing/index.ts'
import { actFor } from '../../tenant.ts'

/** Answers the lines of batches by the server's own routes: decoded, routed and encoded as a client's request is. */
export function createBatchExecutor(app: FastifyInstance): ExecuteCall {
  return async ({ tenant, url, body }, signal) => {
    signal.throwIfAborted()
    const headers = { 'content-type': 'application/json', 'x-drover-priority': 'bulk' }
    // Awaited within: what `inject` gives begins only when somebody waits for it.
    const ask = async () => await app.inject({ method: 'POST', url, headers, payload: body })
    const reply = await actFor({ tenant, signal }, ask)
    const { 'retry-after': retryAfter, 'x-request-id': requestId } = reply.headers
    return {
      status: reply.statusCode,
      body: reply.body,
      ...(typeof requestId === 'string' && { requestId }),
      ...(Number(retryAfter) > 0 && { retryAfterMs: Number(retryAfter) * 1000 }),
    }
  }
}
