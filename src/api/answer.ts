import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  asDroverError,
  type DoneEvent,
  DroverError,
  type InferenceEvent,
  type InferenceRequest,
  type Logprob,
  type RouteReport,
  type ToolCall,
} from '../inference/index.ts'
import type { ApiContext } from './context.ts'
import { announceMultiGpu, announceRoute, openStream } from './http/index.ts'
import type { AnswerMeter } from './multigpu/meter.ts'
import { routingFor } from './routing-wishes.ts'

/** An answer whose first event has come, so it was not refused. */
interface OpenAnswer {
  first: InferenceEvent
  rest: AsyncIterator<InferenceEvent>
  meter: AnswerMeter
}

/** How a dialect writes events on the wire. */
export interface EventEncoder {
  contentType: string
  /** The text that goes out for an event; empty when nothing does. */
  event(event: InferenceEvent): string
  /** The text that tells a client that its answer broke off. */
  failure(error: DroverError): string
  /** The text that goes out when nothing else has for a while, so that nobody between takes the line for dead. */
  keepAlive?: string
}

/** A whole answer. */
export interface WholeAnswer {
  text: string
  thinking: string
  toolCalls: ToolCall[]
  logprobs: Logprob[]
  done: DoneEvent
}

/** Asks the router and waits for the first event. Throws the router's refusal. */
export async function openAnswer(
  context: ApiContext,
  request: FastifyRequest,
  inference: InferenceRequest,
): Promise<OpenAnswer> {
  const { exchange } = request
  const routed = (route: RouteReport) => announceRoute(exchange, route)
  const routing = await routingFor(context, request, inference)
  announceMultiGpu(exchange, routing)
  const asked = { ...inference, routing }
  const rest = context.router.answer(asked, exchange.signal, routed)[Symbol.asyncIterator]()
  const meter = context.meter.begin()
  try {
    const first = await rest.next()
    if (first.done) throw brokenOff()
    note(meter, first.value)
    return { first: first.value, rest, meter }
  } catch (thrown) {
    failed(meter, asDroverError(thrown))
    throw thrown
  }
}

function note(meter: AnswerMeter, event: InferenceEvent): void {
  if (event.type === 'done') meter.done(event)
  else meter.piece()
}

/** A client that leaves is no failure of this server. */
function failed(meter: AnswerMeter, { code }: DroverError): void {
  if (code === 'cancelled') meter.left()
  else meter.failed()
}

const brokenOff = () => new DroverError('internal', 'the answer ended before it was complete')

/** Silence that a client is to be reassured after; proxies give up after thirty seconds and more. */
const keepAliveMs = 10_000

/**
 * Streams an answer event by event, no faster than the client reads. It ends with the `done` event's text or, when
 * something fails on the way, with the failure's; a client that went away gets neither.
 */
export async function streamAnswer(
  context: ApiContext,
  request: FastifyRequest,
  reply: FastifyReply,
  answer: OpenAnswer,
  encoder: EventEncoder,
): Promise<void> {
  const { exchange } = request
  const stream = openStream(reply, encoder.contentType, context.config.writeStallTimeoutMs)
  const { keepAlive } = encoder
  let clientIsBehind = false
  const reassure = (text: string) => clientIsBehind || stream.write(text)
  const silence = keepAlive === undefined ? undefined : setInterval(reassure, keepAliveMs, keepAlive)
  try {
    let event: InferenceEvent = answer.first
    for (;;) {
      const text = encoder.event(event)
      const behind = text === '' ? undefined : stream.write(text)
      if (text !== '') silence?.refresh()
      if (event.type === 'done') {
        exchange.outputTokens = event.usage.outputTokens
        break
      }
      if (behind) {
        clientIsBehind = true
        await behind
        clientIsBehind = false
      }
      exchange.signal.throwIfAborted()
      const next = await answer.rest.next()
      if (next.done) throw brokenOff()
      event = next.value
      note(answer.meter, event)
    }
  } catch (thrown) {
    const error = asDroverError(thrown)
    failed(answer.meter, error)
    exchange.error = error.code
    if (!exchange.signal.aborted) {
      context.log.warn({ code: error.code, reason: error.message, model: exchange.model }, 'answer broke off')
      stream.write(encoder.failure(error))
    }
  } finally {
    clearInterval(silence)
    stream.end()
    await answer.rest.return?.()
  }
}

/** Waits for the end of an answer. Throws what broke it. */
export async function collectAnswer(request: FastifyRequest, answer: OpenAnswer): Promise<WholeAnswer> {
  const whole: Omit<WholeAnswer, 'done'> = { text: '', thinking: '', toolCalls: [], logprobs: [] }
  try {
    for (let event: InferenceEvent = answer.first; ; ) {
      if (event.type === 'done') {
        request.exchange.outputTokens = event.usage.outputTokens
        await answer.rest.return?.()
        return { ...whole, done: event }
      }
      if (event.type === 'token') whole.text += event.text
      else if (event.type === 'thinking') whole.thinking += event.text
      else whole.toolCalls.push(event.call)
      if (event.logprobs) whole.logprobs.push(...event.logprobs)
      const next = await answer.rest.next()
      if (next.done) throw brokenOff()
      event = next.value
      note(answer.meter, event)
    }
  } catch (thrown) {
    failed(answer.meter, asDroverError(thrown))
    throw thrown
  }
}
