import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceMemory,
  InstanceSpec,
} from '../contract.ts'
import { crashed } from '../crashed.ts'
import { createSlotQueue } from '../slots.ts'
import { OllamaError, wordsOf } from './client.ts'
import { doneOf, generateBody, logprobsOf, type ModelSettings, tokensUnsupported } from './completion.ts'
import { requestError } from './errors.ts'
import { endSoon } from './server.ts'
import type { HeldServer } from './servers.ts'
import { unload } from './unload.ts'
import { knowsLogprobs } from './version.ts'
import type { Vocabularies } from './vocabulary.ts'

const terminateGraceMs = 5_000
const hurriedGraceMs = 500
const unloadTimeoutMs = 10_000

/** A model that is loaded in a server. */
export interface LoadedModel {
  spec: InstanceSpec
  settings: ModelSettings
  held: HeldServer
  /** See `HeldServer.enterModel`. */
  leaveModel(): boolean
  memory: InstanceMemory
  contextLength: number
  vocabularies: Vocabularies
  log(message: string): void
}

export function createInstance(model: LoadedModel): EngineInstance {
  const { spec, settings, held, vocabularies } = model
  const { server } = held
  const { client } = server
  const slots = server.slots ?? spec.slots
  const queue = createSlotQueue(slots)
  const vocabulary = vocabularies.hold()
  /** Those that run, to be ended by a close. */
  const running = new Set<AbortController>()
  const hurry = new AbortController()
  let closing: Promise<void> | undefined
  let tokensMissed = false

  let end: (exit: InstanceExit) => void = () => undefined
  const exited = new Promise<InstanceExit>((resolve) => {
    end = (exit) => {
      queue.close(() => crashed(exit))
      vocabulary.release()
      resolve(exit)
    }
  })
  held.onGone((exit) => {
    if (closing) return
    model.log(`instance ${spec.id} of ${spec.modelName} ended: ${exit.reason}`)
    model.leaveModel()
    // Nothing is left to be stopped.
    held.release().finally(() => end(exit))
  })

  /** Tells a server that is gone, a refusal and a broken connection apart. */
  async function explain(error: unknown): Promise<unknown> {
    if (error instanceof DroverError) return error
    if (error instanceof OllamaError) return requestError(error)
    // Whether a server that is not Drover's lives is known after seconds; the request need not wait for that.
    const exit = server.pid === 0 ? undefined : await endSoon(server)
    if (exit) return crashed(exit)
    return new DroverError(
      'engine_failed',
      `an error was encountered while running the model: ${wordsOf(error)}`,
      { cause: error },
    )
  }

  /** Runs `work` in a slot, with a signal that the request and a close abort. */
  async function* inSlot<T>(
    signal: AbortSignal,
    work: (signal: AbortSignal) => AsyncIterable<T>,
  ): AsyncGenerator<T> {
    await queue.acquire(signal)
    const control = new AbortController()
    const onAbort = () => control.abort(signal.reason)
    signal.addEventListener('abort', onAbort)
    running.add(control)
    try {
      signal.throwIfAborted()
      yield* work(control.signal)
    } catch (error) {
      throw control.signal.aborted ? control.signal.reason : await explain(error)
    } finally {
      signal.removeEventListener('abort', onAbort)
      running.delete(control)
      queue.release()
    }
  }

  async function* translate(body: object, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    let whole = ''
    for await (const lines of client.lines('/api/generate', body, signal)) {
      for (const line of lines) {
        signal.throwIfAborted()
        if (typeof line['error'] === 'string') throw new OllamaError(200, line['error'])
        const text = typeof line['response'] === 'string' ? line['response'] : ''
        const logprobs = logprobsOf(line)
        whole += text
        const done = line['done'] === true
        const tokens = done ? await tokensOf(whole) : []
        if (text !== '' || logprobs || tokens.length > 0) {
          yield { type: 'token', text, tokens, ...(logprobs && { logprobs }) }
        }
        if (done) return yield doneOf(line)
      }
    }
    throw new Error('the server ended the answer before its last line')
  }

  /** A prompt of tokens (one that was cut to fit) as text, without the BOS that Ollama puts before every text. */
  async function textOf(tokens: readonly number[]): Promise<string> {
    const [bos] = await vocabularies.tokenize(spec, '', true)
    return vocabularies.detokenize(spec, bos !== undefined && tokens[0] === bos ? tokens.slice(1) : tokens)
  }

  /** Ollama tells no tokens, so the answer's are told at its end, by the model's own vocabulary. */
  async function tokensOf(text: string): Promise<number[]> {
    if (text === '' || tokensMissed) return []
    try {
      return await vocabularies.tokenize(spec, text, false)
    } catch (error) {
      tokensMissed = true
      model.log(`answers of ${spec.modelName} come without their tokens: ${wordsOf(error)}`)
      return []
    }
  }

  async function* embedded(inputs: readonly string[], signal: AbortSignal): AsyncGenerator<EmbedAnswer> {
    const body = { ...settings, input: inputs, truncate: false }
    yield (await client.json('POST', '/api/embed', body, signal)) as EmbedAnswer
  }

  async function close(drainMs: number): Promise<void> {
    queue.close(() => new DroverError('shutting_down', `the instance of ${spec.modelName} is being closed`))
    if (drainMs > 0) {
      const drained = new AbortController()
      const limit = AbortSignal.any([hurry.signal, drained.signal])
      await Promise.race([queue.idle(), exited, waited(drainMs, limit)])
      drained.abort()
    }
    const exit: InstanceExit = { kind: 'closed', reason: 'it was unloaded' }
    const graceMs = running.size > 0 ? hurriedGraceMs : terminateGraceMs
    for (const control of running) control.abort(crashed(exit))
    const last = model.leaveModel()
    // A process that nobody else uses ends, with all that it has loaded.
    const own = server.pid !== 0 && !held.shared()
    if (last && !own) await unload(server, spec.modelName, unloadTimeoutMs, hurry.signal)
    await held.release(hurry.signal.aborted ? 0 : graceMs)
    end(exit)
  }

  return {
    id: spec.id,
    engine: 'ollama',
    pid: server.pid,
    slots,
    contextLength: model.contextLength,
    memory: model.memory,
    tokensAtEnd: true,
    exited,

    async *generate(request: CompletionRequest, signal: AbortSignal) {
      const { prompt } = request
      const text = typeof prompt === 'string' ? prompt : await textOf(prompt)
      const body = generateBody({ ...request, prompt: text }, settings, spec.contextShift)
      if (request.topLogprobs !== undefined && !knowsLogprobs(server.version)) {
        throw new DroverError(
          'unsupported',
          `the Ollama at ${server.url} is ${server.version}, which tells no probabilities: update it to 0.12.11 or newer`,
        )
      }
      yield* inSlot(signal, (inner) => translate(body, inner))
    },

    async embed(inputs, signal) {
      if (inputs.length === 0) return { embeddings: [], promptTokens: 0 }
      const texts = inputs.filter((input) => typeof input === 'string')
      if (texts.length < inputs.length) throw tokensUnsupported()
      for await (const answer of inSlot(signal, (inner) => embedded(texts, inner))) {
        return {
          embeddings: answer.embeddings.map((vector) => Float32Array.from(vector)),
          promptTokens: answer.prompt_eval_count ?? 0,
        }
      }
      throw new Error('the server gave no vectors')
    },

    tokenize: (text, { addSpecial }) => vocabularies.tokenize(spec, text, addSpecial),
    detokenize: (tokens) => vocabularies.detokenize(spec, tokens),
    load: queue.load,

    async ping(signal) {
      await client.json('GET', '/api/version', undefined, signal)
    },

    kill: server.kill,

    close({ drainMs = 0 } = {}) {
      if (closing) hurry.abort()
      closing ??= close(drainMs)
      return closing
    },
  }
}

interface EmbedAnswer {
  embeddings: number[][]
  prompt_eval_count?: number
}

async function waited(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(Math.min(ms, 2_147_483_647), undefined, { signal })
  } catch {
    // It is over, or there is a hurry.
  }
}
