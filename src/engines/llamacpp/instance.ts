import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceMemory,
  InstanceSpec,
  Speculation,
} from '../contract.ts'
import { crashed } from '../crashed.ts'
import type { GuardedProcess } from '../process/index.ts'
import { createSlotQueue } from '../slots.ts'
import { type ServerClient, ServerError, type ServerStream } from './client.ts'
import { completionBody, type ModelFacts, toDroverError, withoutBos } from './completion.ts'
import { decodeEmbedding } from './embedding.ts'
import { createFormatContinuation } from './format.ts'
import { createTokenFinder } from './sampled-tokens.ts'
import { createSessionStore } from './sessions.ts'
import { createSlotTable, type Slot } from './slot-table.ts'
import { createSpeculationWatch } from './speculation-watch.ts'
import { translate } from './translate.ts'

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
  /** Where the build was found able to save and restore slots, and has a folder for it. */
  sessions: { dir: string; fingerprint: string } | undefined
  /** What it printed lately. */
  logText(): string
  /** How the process ended, told from its exit and its log. */
  explainExit(): Promise<InstanceExit>
  /** A draft model guesses ahead, and was found to cost more than it brings. */
  onDraftLoses?(figures: Speculation): void
  log(message: string): void
}

export function createInstance(server: RunningServer): EngineInstance {
  const { spec, client, process: child } = server
  const queue = createSlotQueue(server.slots)
  const table = createSlotTable(server.slots)
  const formats = createFormatContinuation(client)
  const finder = createTokenFinder(client, spec.modelPath)
  const speculation =
    spec.draft &&
    createSpeculationWatch({
      client,
      queue,
      modelName: spec.modelName,
      log: server.logText,
      onLoses: (reason, figures) => {
        server.log(`instance ${spec.id}: ${reason}; the next instance goes without`)
        server.onDraftLoses?.(figures)
      },
    })
  let closing: Promise<void> | undefined
  let killed: string | undefined
  let hurry: (() => void) | undefined

  const exited = server.explainExit().then(async (exit): Promise<InstanceExit> => {
    const how = exitOf(exit)
    queue.close(() => crashed(how))
    if (how.kind !== 'closed') server.log(`instance ${spec.id} of ${spec.modelName} ended: ${how.reason}`)
    const { draftTokens = 0, acceptedTokens = 0 } = speculation?.figures() ?? {}
    if (draftTokens > 0) {
      server.log(
        `instance ${spec.id} took ${acceptedTokens} of ${draftTokens} tokens that its draft model guessed`,
      )
    }
    await client.close()
    return how
  })

  function exitOf(exit: InstanceExit): InstanceExit {
    if (closing) return { kind: 'closed', reason: exit.reason }
    return killed === undefined ? exit : { kind: 'hung', reason: killed }
  }

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
   * Waits until the server has let go of a slot, so that an aborted request's slot is counted free when it is; without
   * a slot, until it works on no more requests than are still wanted. A request that is at this very moment on its way
   * into a slot may end the wait early: the next one then waits in the server for some milliseconds.
   */
  async function slotReleased(slot?: number): Promise<void> {
    abandoned++
    try {
      const deadline = performance.now() + slotReleaseTimeoutMs
      for (let waitMs = 1; performance.now() < deadline; waitMs = Math.min(50, waitMs * 2)) {
        const states = (await client.json('GET', '/slots')) as { is_processing?: boolean }[]
        const busy = states.filter((state) => state.is_processing).length
        const wanted = queue.load().running - abandoned
        if (slot === undefined ? busy <= wanted : !states[slot]?.is_processing) return
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
    await queue.acquire(signal)
    let slot: Slot | undefined
    let stream: ServerStream | undefined
    const onAbort = () => stream?.abort(asError(signal.reason))
    signal.addEventListener('abort', onAbort)
    let busy = false
    let answer: string | undefined
    const run = speculation?.begun()
    try {
      signal.throwIfAborted()
      slot = table.take(await contentOf(request))
      const body = { ...completionBody(request, server.model), ...(server.slots > 1 && { id_slot: slot.id }) }
      busy = true
      run?.sent(body)
      stream = client.stream('/completion', await formats.bodyOf(request, body, signal))
      signal.throwIfAborted()
      for await (const event of translate(client, finder, stream, request, signal)) {
        answer ??= ''
        if (event.type === 'token') {
          answer += event.text
          run?.tokens(event.tokens)
        }
        if (event.type === 'done') {
          busy = false
          run?.answered(event.usage)
        }
        yield event
      }
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (error instanceof ServerError || error instanceof DroverError) busy = false
      throw await explain(error, 'prompt')
    } finally {
      signal.removeEventListener('abort', onAbort)
      if (busy) {
        stream?.abort(new Error('the request was given up'))
        await slotReleased(slot?.id)
      }
      // Of a request that was refused the slot has nothing.
      if (answer === undefined) slot?.putBack()
      else slot?.release(answer)
      queue.release()
      run?.ended()
    }
  }

  /** What a prompt is to its slot: its text, with images by their content. */
  async function contentOf({ prompt, images }: Prompt): Promise<string> {
    if (typeof prompt !== 'string') {
      return withoutBos(await detokenize(prompt), server.model.addedBos)
    }
    const text = withoutBos(prompt, server.model.addedBos)
    if (!images?.length) return text
    const digests = images.map((image) => createHash('sha256').update(image).digest('hex'))
    const marked = text.replace(/\[img-(\d+)\]/g, (written, index) => digests[Number(index)] ?? written)
    return digests.filter((digest) => !marked.includes(digest)).join('') + marked
  }

  async function detokenize(tokens: readonly number[]): Promise<string> {
    return ((await ask('/detokenize', { tokens }, 'prompt')) as { content: string }).content
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
    ...(speculation && { speculation: speculation.figures, outdated: speculation.loses }),
    ...(server.sessions && {
      sessions: createSessionStore({ ...server.sessions, client, queue, table, contentOf }),
    }),
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

    detokenize,

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

type Prompt = Pick<CompletionRequest, 'prompt' | 'images'>

interface EmbeddingAnswer {
  data: { embedding: string | number[] }[]
  usage?: { prompt_tokens?: number }
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
