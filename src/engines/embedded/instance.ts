import { setTimeout as sleep } from 'node:timers/promises'
import { DroverError } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceSpec,
} from '../contract.ts'
import { createSlotQueue } from '../slots.ts'
import { memoryWords } from './memory-words.ts'
import type { EngineProcess } from './process.ts'
import { eventWindow, type FromChild, fromWire, type Question, type ToChild } from './protocol.ts'

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

/** An instance whose process has loaded its model. */
export function createInstance(
  { child, exited: processExited, output }: EngineProcess,
  spec: InstanceSpec,
  ready: FromChild & { type: 'ready' },
  log: (message: string) => void,
): EngineInstance {
  const queue = createSlotQueue(spec.slots)
  const readers = new Map<number, Reader>()
  const questions = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>()
  let nextId = 1
  let closing: Promise<void> | undefined
  let hurry: (() => void) | undefined

  child.on('message', receive)
  const exited = processExited.then((end): InstanceExit => {
    const exit = explain(end, output(), closing !== undefined)
    const error = crashed(exit)
    queue.close(() => error)
    for (const reader of readers.values()) {
      reader.error ??= error
      reader.over = true
      reader.wake()
    }
    for (const { reject } of questions.values()) reject(error)
    questions.clear()
    if (exit.kind !== 'closed') log(`instance ${spec.id} of ${spec.modelName} ended: ${exit.reason}`)
    return exit
  })

  function send(message: ToChild): void {
    if (child.connected) child.send(message)
  }

  function receive(message: FromChild): void {
    if (message.type === 'events') {
      for (const [id, event] of message.events) {
        const reader = readers.get(id)
        if (!reader) continue
        reader.events.push(event)
        reader.over ||= event.type === 'done'
        reader.wake()
      }
    } else if (message.type === 'failed') {
      const error = fromWire(message.error)
      questions.get(message.id)?.reject(error)
      questions.delete(message.id)
      const reader = readers.get(message.id)
      if (!reader) return
      reader.error = error
      reader.over = true
      reader.wake()
    } else if (message.type === 'answer') {
      questions.get(message.id)?.resolve(message.value)
      questions.delete(message.id)
    }
  }

  async function* generate(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
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
      if (!reader.over) send({ type: 'cancel', id })
      while (!reader.over) await woken(reader)
      readers.delete(id)
      queue.release()
    }
  }

  function woken(reader: Reader): Promise<void> {
    return new Promise((resolve) => {
      reader.wake = resolve
    })
  }

  function ask<T>(question: Question, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    const id = nextId++
    return new Promise<T>((resolve, reject) => {
      if (!child.connected) return exited.then((exit) => reject(crashed(exit)))
      questions.set(id, { resolve: (value) => resolve(value as T), reject })
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
      send({ type: 'ask', id, question })
    })
  }

  async function shutDown(drainMs: number): Promise<void> {
    const closed = new DroverError('engine_crashed', `${spec.modelName} is being unloaded`)
    const hurried = new Promise<void>((resolve) => {
      hurry = resolve
    })
    if (drainMs > 0) await Promise.race([queue.idle(), sleep(drainMs, undefined, { ref: false }), hurried])
    queue.close(() => closed)
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
    exited,
    generate,
    embed: (inputs, signal) => ask({ kind: 'embed', inputs: [...inputs] }, signal),
    tokenize: (text, { addSpecial }) => ask({ kind: 'tokenize', text, addSpecial }),
    detokenize: (tokens) => ask({ kind: 'detokenize', tokens: [...tokens] }),
    load: queue.load,
    close({ drainMs = 0 } = {}) {
      if (closing) hurry?.()
      closing ??= shutDown(drainMs)
      return closing
    },
  }
}

function crashed(exit: InstanceExit): DroverError {
  return new DroverError(
    'engine_crashed',
    'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error ' +
      `(${exit.reason})`,
  )
}

function explain(
  { code, signal }: { code: number | null; signal: NodeJS.Signals | null },
  output: string,
  asked: boolean,
): InstanceExit {
  const how = signal ? `signal ${signal}` : `exit code ${code}`
  if (asked) return { kind: 'closed', reason: how }
  const words = output.trim().split('\n').at(-1) ?? ''
  const kind = memoryWords.test(output) ? 'out_of_memory' : 'crashed'
  return { kind, reason: words === '' ? how : `${words} (${how})` }
}
