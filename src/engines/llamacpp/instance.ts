import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError, type Logprob } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceMemory,
  InstanceSpec,
} from '../contract.ts'
import type { GuardedProcess } from '../process/index.ts'
import { createSlotQueue } from '../slots.ts'
import { errorFrom, type ServerClient, ServerError, type ServerEvent, type ServerStream } from './client.ts'
import {
  completionBody,
  type ModelFacts,
  type TokenData,
  toDone,
  toDroverError,
  toLogprobs,
  toProgress,
} from './completion.ts'
import { decodeEmbedding } from './embedding.ts'

/** An aborted request whose slot the server still reports busy after this is no longer waited for. */
const slotReleaseTimeoutMs = 30_000
/** After a broken connection, how long the process may take to be seen as dead. */
const crashNoticeMs = 1_000
/** No way leads to the process any more. */
const unreachable = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK']
const terminateGraceMs = 5_000
const hurriedGraceMs = 500

/** A server that answers, and what is known about it. */
export interface RunningServer {
  spec: InstanceSpec
  process: GuardedProcess
  client: ServerClient
  model: ModelFacts
  memory: InstanceMemory
  contextLength: number
  slots: number
  /** How the process ended, told from its exit and its log. */
  explainExit(): Promise<InstanceExit>
  log(message: string): void
}

export function createInstance(server: RunningServer): EngineInstance {
  const { spec, client, process: child } = server
  const queue = createSlotQueue(server.slots)
  let closing: Promise<void> | undefined
  let killed: string | undefined
  let hurry: (() => void) | undefined

  const exited = server.explainExit().then(async (exit): Promise<InstanceExit> => {
    const how = exitOf(exit)
    queue.close(() => crashed(how))
    if (how.kind !== 'closed') server.log(`instance ${spec.id} of ${spec.modelName} ended: ${how.reason}`)
    await client.close()
    return how
  })

  function exitOf(exit: InstanceExit): InstanceExit {
    if (closing) return { kind: 'closed', reason: exit.reason }
    return killed === undefined ? exit : { kind: 'hung', reason: killed }
  }

  const crashed = (exit: InstanceExit) =>
    new DroverError(
      'engine_crashed',
      'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error ' +
        `(${exit.reason})`,
    )

  /** Tells a dead process, a refusal and a broken connection apart. */
  async function explain(error: unknown, of: 'prompt' | 'input'): Promise<unknown> {
    if (error instanceof DroverError) return error
    if (error instanceof ServerError) return toDroverError(error, of)
    const exit = await Promise.race([exited, sleep(crashNoticeMs, undefined, { ref: false })])
    if (exit) return crashed(exit)
    const message = error instanceof Error ? error.message : String(error)
    const { code = '' } = error as NodeJS.ErrnoException
    if (unreachable.includes(code)) {
      // It lives, and nobody will ever reach it again: a tidy soul has deleted its socket.
      killed ??= `it cannot be reached: ${message}`
      child.signal('SIGKILL')
      return crashed(await exited)
    }
    return new DroverError('engine_failed', `an error was encountered while running the model: ${message}`, {
      cause: error,
    })
  }

  /**
   * Waits until the server works on no more requests than are still wanted, so that an aborted request's slot is
   * counted free when it is. A request that was admitted at this very moment may end the wait early: it then
   * waits in the server for some milliseconds.
   */
  async function slotReleased(): Promise<void> {
    abandoned++
    try {
      const deadline = performance.now() + slotReleaseTimeoutMs
      for (let waitMs = 1; performance.now() < deadline; waitMs = Math.min(50, waitMs * 2)) {
        const slots = (await client.json('GET', '/slots')) as { is_processing?: boolean }[]
        const busy = slots.filter((slot) => slot.is_processing).length
        if (busy <= queue.load().running - abandoned) return
        await sleep(waitMs)
      }
      server.log(
        `instance ${spec.id}: a slot is still busy ${slotReleaseTimeoutMs} ms after its request ended`,
      )
    } catch (error) {
      // A dead server has no busy slots, and one without /slots cannot tell.
      if (!(error instanceof ServerError)) return
    } finally {
      abandoned--
    }
  }
  let abandoned = 0

  async function* generate(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const body = completionBody(request, server.model)
    await queue.acquire(signal)
    const stream = client.stream('/completion', body)
    const onAbort = () => stream.abort(asError(signal.reason))
    signal.addEventListener('abort', onAbort)
    let finished = false
    try {
      signal.throwIfAborted()
      for await (const event of translate(client, stream, request, signal)) {
        if (event.type === 'done') finished = true
        yield event
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      finished = error instanceof ServerError
      throw await explain(error, 'prompt')
    } finally {
      signal.removeEventListener('abort', onAbort)
      if (!finished) {
        stream.abort(new Error('the request was given up'))
        await slotReleased()
      }
      queue.release()
    }
  }

  /** The server refuses an empty text; what its tokenizer makes of one is a vector all the same. */
  async function emptyInput(): Promise<number[] | string> {
    const body = { content: '', add_special: true, parse_special: true }
    const { tokens } = (await ask('/tokenize', body, 'input')) as { tokens: number[] }
    return tokens.length > 0 ? tokens : ' '
  }

  async function ask(path: string, body: unknown, of: 'prompt' | 'input', signal?: AbortSignal) {
    try {
      return await client.json('POST', path, body, signal)
    } catch (error) {
      signal?.throwIfAborted()
      throw await explain(error, of)
    }
  }

  return {
    id: spec.id,
    engine: 'llama.cpp',
    pid: child.pid,
    slots: server.slots,
    contextLength: server.contextLength,
    memory: server.memory,
    exited,
    generate,

    async embed(inputs, signal) {
      if (inputs.length === 0) return { embeddings: [], promptTokens: 0 }
      await queue.acquire(signal)
      let finished = false
      try {
        const input = await Promise.all(inputs.map((one) => (one === '' ? emptyInput() : one)))
        const body = { input, encoding_format: 'base64' }
        const answer = (await ask('/v1/embeddings', body, 'input', signal)) as EmbeddingAnswer
        finished = true
        return {
          embeddings: answer.data.map(({ embedding }) => decodeEmbedding(embedding)),
          promptTokens: answer.usage?.prompt_tokens ?? 0,
        }
      } finally {
        if (!finished && signal.aborted) await slotReleased()
        queue.release()
      }
    },

    async tokenize(text, { addSpecial }) {
      const { addedBos } = server.model
      const content = addSpecial && addedBos && text.startsWith(addedBos) ? text.slice(addedBos.length) : text
      const body = { content, add_special: addSpecial, parse_special: true }
      return ((await ask('/tokenize', body, 'prompt')) as { tokens: number[] }).tokens
    },

    async detokenize(tokens) {
      return ((await ask('/detokenize', { tokens }, 'prompt')) as { content: string }).content
    },

    load: queue.load,

    ping: client.ping,

    kill(reason) {
      killed ??= reason
      child.signal('SIGKILL')
    },

    close({ drainMs = 0 } = {}) {
      hurry?.()
      closing ??= (async () => {
        queue.close(
          () => new DroverError('shutting_down', `the instance of ${spec.modelName} is being closed`),
        )
        const hurried = new Promise<void>((resolve) => {
          hurry = resolve
        })
        if (drainMs > 0) {
          const timer = new AbortController()
          await Promise.race([queue.idle(), hurried, exited, timeout(drainMs, timer.signal)])
          timer.abort()
        }
        hurry = () => child.signal('SIGKILL')
        await child.terminate(queue.load().running > 0 ? hurriedGraceMs : terminateGraceMs)
        await exited
      })()
      return closing
    },
  }
}

interface EmbeddingAnswer {
  data: { embedding: string | number[] }[]
  usage?: { prompt_tokens?: number }
}

/** The server's events as the engine's. Text and its tokens come together, once their characters are whole. */
async function* translate(
  client: ServerClient,
  stream: ServerStream,
  request: CompletionRequest,
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  let tokens: number[] = []
  let logprobs: Logprob[] = []
  let missing = 0
  let predicted = 0
  for (let events = await stream.next(); events; events = await stream.next()) {
    for (const event of events) {
      if (signal.aborted) throw signal.reason
      const failure = event['error'] === undefined ? undefined : errorFrom(500, event)
      if (failure) throw failure
      if (event['stop'] === true) {
        // Only a possible stop string makes the server hold text back.
        const holds = request.stop.length > 0 && missing === 0
        const last = await unsentText(client, event, holds ? tokens : [])
        if (last) yield { type: 'token', text: last, tokens, ...(logprobs.length && { logprobs }) }
        yield toDone(event)
        return
      }
      const progress = toProgress(event)
      if (progress) {
        yield progress
        continue
      }
      const data = event as unknown as TokenData
      tokens.push(...data.tokens)
      missing += data.tokens_predicted - predicted - data.tokens.length
      predicted = data.tokens_predicted
      if (request.topLogprobs !== undefined && data.completion_probabilities) {
        logprobs.push(...toLogprobs(data.completion_probabilities, request.topLogprobs))
      }
      if (data.content === '') continue
      if (missing > 0) tokens = await tokensOf(client, data.content, tokens.length + missing)
      yield { type: 'token', text: data.content, tokens, ...(logprobs.length && { logprobs }) }
      tokens = []
      logprobs = []
      missing = 0
    }
  }
  throw new Error('the server ended the answer before its last event')
}

/**
 * Text that the server still held back, as a possible stop string, when the token limit ended the answer: it
 * forgets it, though no stop string came of it.
 */
async function unsentText(
  client: ServerClient,
  event: ServerEvent,
  tokens: readonly number[],
): Promise<string> {
  const { content } = event as { content?: string }
  if (content) return content
  if (event['stop_type'] !== 'limit' || tokens.length === 0) return ''
  const text = ((await client.json('POST', '/detokenize', { tokens })) as { content: string }).content
  // What is left of a character that the limit cut comes out as replacement characters.
  return text.replace(/\uFFFD+$/, '')
}

/**
 * The tokens of a text of which the server told only the last (it drops those of incomplete characters). They
 * are the tokenizer's own, which for a character from several byte tokens are the sampled ones.
 */
async function tokensOf(client: ServerClient, text: string, expected: number): Promise<number[]> {
  const body = { content: text, add_special: false, parse_special: false }
  const { tokens } = (await client.json('POST', '/tokenize', body)) as { tokens: number[] }
  // SentencePiece vocabularies put a space before every text.
  return tokens.length === expected + 1 ? tokens.slice(1) : tokens
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason))
}

async function timeout(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(Math.min(ms, 2_147_483_647), undefined, { signal })
  } catch {
    // Only its own abort ends it early, when nobody waits for it any more.
  }
}
