import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceSpec,
} from '../contract.ts'
import { crashed } from '../crashed.ts'
import { createSlotQueue } from '../slots.ts'
import type { EngineProcess } from './process.ts'
import { eventWindow, type FromChild, fromWire, type Question, type ToChild } from './protocol.ts'
import { createSessionStore } from './sessions.ts'

/** Freeing a model takes milliseconds; a process that needs longer is ended. */
const disposeGraceMs = 2_000
/** Events are acknowledged by so many, to save messages. */
const acknowledgeEvery = eventWindow / 4

/** The reader's end of a running request. */
interface Reader {
  events: EngineEvent[]
  error?: Error
  /** The child has let go of its sequence. */
  over: boolean
  wake(): void
}

interface PendingQuestion {
  resolve(value: unknown): void
  reject(error: Error): void
}

/** An instance whose process has loaded its model. */
export function createInstance(
  { child, exited: processExited }: EngineProcess,
  spec: InstanceSpec,
  ready: FromChild & { type: 'ready' },
  sessions: { dir: string; fingerprint: string } | undefined,
  log: (message: string) => void,
): EngineInstance {
  const queue = createSlotQueue(spec.slots)
  const readers = new Map<number, Reader>()
  const questions = new Map<number, PendingQuestion>()
  let nextId = 1
  let toldOfTypicalP = false
  let closing: Promise<void> | undefined
  let killed: string | undefined
  let hurry: (() => void) | undefined

  child.on('message', receive)
  const exited = processExited.then((end): InstanceExit => {
    const exit = exitOf(end)
    const error = crashed(exit)
    queue.close(() => error)
    for (const id of readers.keys()) fail(id, error)
    for (const id of questions.keys()) fail(id, error)
    if (exit.kind !== 'closed') log(`instance ${spec.id} of ${spec.modelName} ended: ${exit.reason}`)
    return exit
  })

  function exitOf(end: InstanceExit): InstanceExit {
    if (closing) return { kind: 'closed', reason: end.reason }
    return killed === undefined ? end : { kind: 'hung', reason: killed }
  }

  function send(message: ToChild): void {
    // A process that has just died takes no message; its exit answers all who wait.
    if (child.connected) child.send(message, () => undefined)
  }

  function receive(message: FromChild): void {
    if (message.type === 'failed') {
      fail(message.id, fromWire(message.error))
    } else if (message.type === 'answer') {
      questions.get(message.id)?.resolve(message.value)
      questions.delete(message.id)
    } else if (message.type === 'events') {
      for (const [id, event] of message.events) deliver(id, event)
    }
  }

  function deliver(id: number, event: EngineEvent): void {
    const reader = readers.get(id)
    if (!reader) return
    reader.events.push(event)
    reader.over ||= event.type === 'done'
    reader.wake()
  }

  function fail(id: number, error: Error): void {
    questions.get(id)?.reject(error)
    questions.delete(id)
    const reader = readers.get(id)
    if (!reader) return
    reader.error ??= error
    reader.over = true
    reader.wake()
  }

  async function* generate(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    check(request)
    await queue.acquire(signal)
    const id = nextId++
    const reader: Reader = { events: [], over: false, wake: () => undefined }
    readers.set(id, reader)
    const onAbort = () => {
      send({ type: 'cancel', id })
      reader.wake()
    }
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      send({ type: 'generate', id, request })
      let taken = 0
      for (;;) {
        signal.throwIfAborted()
        const event = reader.events.shift()
        if (event) {
          if (++taken % acknowledgeEvery === 0) send({ type: 'acknowledge', id, events: acknowledgeEvery })
          yield event
          if (event.type === 'done') return
        } else if (reader.error) {
          throw reader.error
        } else {
          await woken(reader)
        }
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
      if (!reader.over && !signal.aborted) send({ type: 'cancel', id })
      while (!reader.over) await woken(reader)
      readers.delete(id)
      queue.release()
    }
  }

  function check({ images, sampling }: CompletionRequest): void {
    if (images?.length) {
      throw new DroverError(
        'unsupported',
        `${spec.modelName} runs on the embedded engine, which reads no images; install llama.cpp ` +
          'with "drover engine install llama.cpp"',
      )
    }
    if (sampling.typical_p !== 1 && !toldOfTypicalP) {
      toldOfTypicalP = true
      log(`${spec.modelName}: the embedded engine has no typical_p sampler; the option has no effect`)
    }
  }

  function woken(reader: Reader): Promise<void> {
    return new Promise((resolve) => {
      reader.wake = resolve
    })
  }

  async function ask<T>(question: Question, signal?: AbortSignal): Promise<T> {
    if (!child.connected) throw crashed(await exited)
    const id = nextId++
    const cancel = () => send({ type: 'cancel', id })
    signal?.addEventListener('abort', cancel, { once: true })
    try {
      return await new Promise<T>((resolve, reject) => {
        questions.set(id, { resolve: (value) => resolve(value as T), reject })
        send({ type: 'ask', id, question })
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  async function shutDown(drainMs: number): Promise<void> {
    queue.close(() => new DroverError('shutting_down', `the instance of ${spec.modelName} is being closed`))
    if (drainMs > 0) {
      const hurried = new Promise<void>((resolve) => {
        hurry = resolve
      })
      await Promise.race([queue.idle(), sleep(drainMs, undefined, { ref: false }), hurried, exited])
    }
    hurry = () => child.kill('SIGKILL')
    // Native code that works cannot be disposed of; only the process can.
    if (queue.load().running > 0) child.kill('SIGKILL')
    else send({ type: 'close' })
    await Promise.race([exited, sleep(disposeGraceMs, undefined, { ref: false })])
    child.kill('SIGKILL')
    await exited
  }

  return {
    id: spec.id,
    engine: 'embedded',
    pid: child.pid ?? 0,
    slots: spec.slots,
    contextLength: ready.contextLength,
    memory: ready.memory,
    cachesBySlot: true,
    exited,
    ...(sessions && { sessions: createSessionStore({ ...sessions, queue, ask }) }),
    generate,
    async embed(inputs, signal) {
      if (inputs.length === 0) return { embeddings: [], promptTokens: 0 }
      await queue.acquire(signal)
      try {
        return await ask({ kind: 'embed', inputs: [...inputs] }, signal)
      } finally {
        queue.release()
      }
    },
    tokenize: (text, { addSpecial }) => ask({ kind: 'tokenize', text, addSpecial }),
    detokenize: (tokens) => ask({ kind: 'detokenize', tokens: [...tokens] }),
    load: queue.load,
    ping: async (signal) => {
      await Promise.race([ask({ kind: 'ping' }), aborted(signal)])
    },
    kill(reason) {
      killed ??= reason
      child.kill('SIGKILL')
    },
    close({ drainMs = 0 } = {}) {
      hurry?.()
      closing ??= shutDown(drainMs)
      return closing
    },
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })
}
