import type { FastifyReply, FastifyRequest } from 'fastify'
import { asDroverError, type DroverError } from '../../inference/index.ts'
import type { Progress } from '../../models/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonValue } from '../go-json/index.ts'
import { openStream } from '../http/index.ts'
import { errorJson } from './encode.ts'

/**
 * Replies with what a long task tells on its way: a line each, or only the last where nothing is to be streamed. What
 * fails before the first line is a refusal with its own status; later it is the last line of a reply that began well.
 */
export async function replyWithProgress(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  progress: AsyncIterable<Progress>,
  streams: boolean,
): Promise<unknown> {
  const steps = progress[Symbol.asyncIterator]()
  try {
    const first = await steps.next()
    if (streams) return await streamProgress(context, request, reply, first, steps)
    return await sendLast(reply, first, steps)
  } catch (thrown) {
    if (request.exchange.signal.aborted) throw thrown
    const error = noteFailure(context, request, thrown)
    return sendPlain(reply.code(error.status), errorJson(error))
  } finally {
    await steps.return?.()
  }
}

type Step = IteratorResult<Progress>

async function sendLast(reply: FastifyReply, first: Step, steps: AsyncIterator<Progress>): Promise<unknown> {
  let last: Progress = { status: '' }
  for (let step = first; !step.done; step = await steps.next()) last = step.value
  return sendPlain(reply, progressJson(last))
}

/** Ollama names no character set on these replies; Fastify would add one to a text. */
function sendPlain(reply: FastifyReply, json: string): FastifyReply {
  return reply.header('content-type', 'application/json').send(Buffer.from(json))
}

async function streamProgress(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  first: Step,
  steps: AsyncIterator<Progress>,
): Promise<void> {
  const stream = openStream(reply, 'application/x-ndjson', context.config.writeStallTimeoutMs)
  try {
    for (let step = first; !step.done; step = await steps.next()) {
      await stream.write(`${progressJson(step.value)}\n`)
      request.exchange.signal.throwIfAborted()
    }
  } catch (thrown) {
    if (!request.exchange.signal.aborted) {
      stream.write(`${errorJson(noteFailure(context, request, thrown))}\n`)
    }
  } finally {
    stream.end()
  }
}

function noteFailure({ log }: ApiContext, { exchange }: FastifyRequest, thrown: unknown): DroverError {
  const error = asDroverError(thrown)
  exchange.error = error.code
  log.warn({ code: error.code, reason: error.message, model: exchange.model }, 'task failed')
  return error
}

/** Keys in Go's order; what is zero or empty is left out. */
function progressJson({ status, digest, total, completed }: Progress): string {
  return jsonValue({
    ...(status && { status }),
    ...(digest && { digest }),
    ...(total && { total }),
    ...(completed && { completed }),
  })
}
