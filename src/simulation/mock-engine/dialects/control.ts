import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { MockCore } from '../core.ts'
import { faultNames } from '../faults.ts'
import { plainRoute, readBody } from '../http/call.ts'
import { Refusal } from '../refusal.ts'
import { ollama } from './ollama.ts'

/** The mock engine's own routes: faults, and what it has done. No fault hits them. */
export function controlRoutes(app: FastifyInstance, core: MockCore): void {
  const { faults } = core
  app.get(
    '/mock/faults',
    plainRoute(ollama, () => ({ faults: faults.list() })),
  )
  app.post(
    '/mock/faults',
    plainRoute(ollama, (request) => faults.set(readBody(request, z.unknown()))),
  )
  app.delete(
    '/mock/faults',
    plainRoute(ollama, () => {
      faults.clear()
      return { faults: faults.list() }
    }),
  )
  app.delete(
    '/mock/faults/:fault',
    plainRoute(ollama, (request) => {
      const { fault } = request.params as { fault: string }
      const name = faultNames.find((one) => one === fault)
      if (!name) throw new Refusal(404, `no such fault: ${fault}; there are ${faultNames.join(', ')}`)
      faults.clear(name)
      return { faults: faults.list() }
    }),
  )
  app.get(
    '/mock/stats',
    plainRoute(ollama, () => core.stats()),
  )
}
