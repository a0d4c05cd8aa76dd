import type { FastifyReply } from 'fastify'

/** A streamed reply. */
export interface ResponseStream {
  /** Sends a piece at once. Gives a promise only when the client is behind: wait for it before the next piece. */
  write(text: string): Promise<void> | undefined
  end(): void
}

/**
 * Starts a reply of status 200 that goes out piece by piece. A client that takes nothing for `stallTimeoutMs` is
 * disconnected, which aborts its request.
 */
export function openStream(reply: FastifyReply, contentType: string, stallTimeoutMs: number): ResponseStream {
  reply.hijack()
  const { raw } = reply
  raw.writeHead(200, { 'content-type': contentType })

  const drained = () =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(() => raw.destroy(), stallTimeoutMs)
      const done = () => {
        clearTimeout(timer)
        raw.off('drain', done).off('close', done)
        resolve()
      }
      raw.on('drain', done).on('close', done)
    })

  return {
    write: (text) => (raw.destroyed || raw.write(text) ? undefined : drained()),
    end: () => {
      if (!raw.destroyed) raw.end()
    },
  }
}
