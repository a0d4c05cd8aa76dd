import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import { createCore, type MockCore } from './core.ts'
import { controlRoutes } from './dialects/control.ts'
import { llamaCppRoutes } from './dialects/llamacpp.ts'
import { ollama, ollamaRoutes } from './dialects/ollama.ts'
import { openAiRoutes } from './dialects/openai.ts'
import type { MockFaults } from './faults.ts'
import { type MockEngineOptions, settingsOf } from './options.ts'
import { Refusal } from './refusal.ts'
import type { MockStats } from './stats.ts'

export type { ActiveFault, FaultName, MockFault, MockFaults } from './faults.ts'
export type { MockEngineOptions } from './options.ts'
export type { MockStats } from './stats.ts'

/** An engine whose answers and times are modelled, behind real HTTP. */
export interface MockEngine {
  /** Listens, on a free port where none or 0 is given, and begins to load. Rejects as Node's `listen` does. */
  listen(at?: { host?: string; port?: number }): Promise<{ host: string; port: number; url: string }>
  /** Breaks every connection and frees the port. */
  close(): Promise<void>
  readonly faults: MockFaults
  stats(): MockStats
}

/** The longest body that is taken. */
const bodyLimitBytes = 64 * 1024 * 1024

/**
 * An engine for load tests: llama-server's, OpenAI's and Ollama's dialects over modelled instances with continuous
 * batching, chunked prefill and a finite KV cache with prefix reuse, on real time. Its text is a pure function of the
 * text so far and the seed. Throws a `RangeError` for options that cannot be.
 */
export function createMockEngine(options: MockEngineOptions = {}): MockEngine {
  const settings = settingsOf(options)
  const app = Fastify({ bodyLimit: bodyLimitBytes, forceCloseConnections: true, requestTimeout: 0 })
  let closing: Promise<void> | undefined
  const core = createCore(settings, crash)
  addRoutes(app, core)

  function close(): Promise<void> {
    closing ??= (async () => {
      core.close()
      await app.close()
    })()
    return closing
  }

  /** Every connection breaks at once, as those of a process that has ended. */
  function crash(): void {
    app.server.closeAllConnections()
    close().then(settings.onCrash, settings.onCrash)
  }

  return {
    async listen({ host = '127.0.0.1', port = 0 } = {}) {
      await app.listen({ host, port })
      core.start()
      const address = app.server.address() as AddressInfo
      const shown = address.family === 'IPv6' ? `[${address.address}]` : address.address
      return { host, port: address.port, url: `http://${shown}:${address.port}` }
    },
    close,
    faults: core.faults,
    stats: core.stats,
  }
}

function addRoutes(app: FastifyInstance, core: MockCore): void {
  // Bodies are JSON whatever their type says, as with Ollama; the routes read them.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request, reply) => {
    const { health } = request.routeOptions.config as { health?: boolean }
    const state = health ? core.faults.health() : 'ok'
    if (state === 'drop') {
      reply.hijack()
      request.raw.socket.destroy()
    } else if (state === 'fail') {
      await reply.code(503).send({ error: { code: 503, message: 'unhealthy', type: 'unavailable_error' } })
    }
  })
  app.setNotFoundHandler((request, reply) => {
    const message = `the mock engine has no ${request.method} ${request.url}`
    return reply
      .code(404)
      .type('application/json')
      .send(ollama.refusal(new Refusal(404, message)))
  })
  llamaCppRoutes(app, core)
  openAiRoutes(app, core)
  ollamaRoutes(app, core)
  controlRoutes(app, core)
}
