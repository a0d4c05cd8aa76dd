/** The process of one instance: loads a model, runs its batch, answers over the IPC channel. */
import type { Token } from 'node-llama-cpp'
import type { CompletionRequest } from '../contract.ts'
import { type Batch, createBatch } from './batch.ts'
import { embedAll } from './embed.ts'
import { createGrammarCache, type GrammarCache } from './grammar.ts'
import { disposeModel, type LoadedModel, loadModel } from './model.ts'
import { prepare } from './prepare.ts'
import { type FromChild, type Question, type ToChild, toWire, type WireError } from './protocol.ts'
import { createVocabulary, type Vocabulary } from './vocabulary.ts'

interface Running {
  loaded: LoadedModel
  vocabulary: Vocabulary
  grammars: GrammarCache
  batch: Batch | undefined
  contextLength: number
}

/** `EX_SOFTWARE` of sysexits.h. */
const internalErrorExit = 70

let running: Running | undefined
/** Requests that are being prepared; false once they were cancelled. */
const preparing = new Map<number, boolean>()
const asked = new Map<number, AbortController>()

function send(message: FromChild): void {
  // The channel may have closed while the native code worked; 'disconnect' then ends this process.
  if (process.connected) process.send?.(message)
}

// Drover has died or let go: no native call may keep this process.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// A Ctrl-C reaches the whole group of processes; Drover decides when its engines end.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.on('message', (message: ToChild) => {
  receive(message).catch(broken)
})

/** Ends the process with the reason as its last words: whoever waits for it learns it from them. */
function broken(error: unknown): void {
  process.stderr.write(`error: ${error instanceof Error ? error.message : error}\n`)
  process.exit(internalErrorExit)
}

async function receive(message: ToChild): Promise<void> {
  switch (message.type) {
    case 'load':
      return load(message)
    case 'generate':
      return generate(message.id, message.request)
    case 'acknowledge':
      return running?.batch?.acknowledge(message.id, message.events)
    case 'cancel':
      if (preparing.has(message.id)) preparing.set(message.id, false)
      else running?.batch?.cancel(message.id)
      asked.get(message.id)?.abort()
      return
    case 'ask':
      return answer(message.id, message.question)
    case 'close':
      if (running) await disposeModel(running.loaded)
      process.exit(0)
  }
}

async function load({ spec, threads }: ToChild & { type: 'load' }): Promise<void> {
  try {
    const loaded = await loadModel(spec, threads, () => send({ type: 'loading' }))
    const contextLength = loaded.context?.contextSize ?? spec.contextLength
    const limits = { contextLength, contextShift: spec.contextShift }
    const output = {
      events: (events: (FromChild & { type: 'events' })['events']) => send({ type: 'events', events }),
      failed: (id: number, error: WireError) => send({ type: 'failed', id, error }),
      broken,
    }
    running = {
      loaded,
      vocabulary: createVocabulary(loaded.model),
      grammars: createGrammarCache(loaded.llama),
      batch: loaded.context && createBatch(loaded.context, limits, output),
      contextLength,
    }
    send({
      type: 'ready',
      contextLength,
      memory: loaded.memory,
      llamaCpp: loaded.llama.llamaCppRelease.release,
    })
  } catch (error) {
    send({ type: 'loadFailed', error: toWire(error) })
  }
}

async function generate(id: number, request: CompletionRequest): Promise<void> {
  preparing.set(id, true)
  try {
    if (!running?.batch) throw new Error('an embedding model does not generate')
    const { loaded, vocabulary, grammars, contextLength, batch } = running
    const prepared = await prepare(request, loaded.model, vocabulary, grammars, contextLength)
    if (preparing.get(id)) batch.start(id, prepared, request)
    else send({ type: 'failed', id, error: { code: 'cancelled', message: 'request canceled' } })
  } catch (error) {
    send({ type: 'failed', id, error: toWire(error) })
  } finally {
    preparing.delete(id)
  }
}

async function answer(id: number, question: Question): Promise<void> {
  const cancel = new AbortController()
  asked.set(id, cancel)
  try {
    if (!running) throw new Error('no model is loaded')
    send({ type: 'answer', id, value: await answerTo(question, running, cancel.signal) })
  } catch (error) {
    send({ type: 'failed', id, error: toWire(error) })
  } finally {
    asked.delete(id)
  }
}

function answerTo(
  question: Question,
  { loaded, vocabulary, contextLength, batch }: Running,
  signal: AbortSignal,
): unknown {
  const tokensOf = (prompt: string | number[]) =>
    typeof prompt === 'string' ? vocabulary.tokenize(prompt, true) : (prompt as Token[])
  switch (question.kind) {
    case 'ping':
      return true
    case 'tokenize':
      return vocabulary.tokenize(question.text, question.addSpecial)
    case 'detokenize':
      return vocabulary.detokenize(question.tokens as Token[])
    case 'saveSession':
      return batch?.save(tokensOf(question.prompt), question.path)
    case 'restoreSession':
      return batch?.restore(tokensOf(question.prompt), question.path)
    case 'embed':
      return embedAll(question.inputs, loaded, vocabulary, contextLength, signal)
  }
}
