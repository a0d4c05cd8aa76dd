/**
 * Instances that do what a script says, on any clock. What they answer is a function of all tokens before, as a model's
 * is at temperature 0; so an answer that was cut and continued can be told from the undisturbed one.
 */
import type { Clock } from '../../core/index.ts'
import type {
  CompletionRequest,
  Engine,
  EngineEvent,
  EngineInstance,
  InstanceExit,
  InstanceSpec,
} from '../../engines/index.ts'
import { DroverError, type ErrorCode } from '../../inference/index.ts'

/** As long as a client may think that it is over. */
const stallMs = 5_000

/** What becomes of one answer, after so many tokens of its own: before the first, between two, or before `done`. */
export interface AnswerScript {
  after: number
  /** `crash` takes the whole instance down; `break`: no last word; `stall`: nothing comes for a while, and then the rest. */
  with: 'crash' | 'failure' | 'busy' | 'break' | 'stall'
}

/** The life of one instance. */
export interface InstanceScript {
  loadMs: number
  /** What its launch throws; absent: it comes up. */
  loadError?: ErrorCode
  /** Of its answers, one after the other; those beyond are whole. */
  answers: readonly AnswerScript[]
  prefillMs: number
  tokenMs: number
  /** Tokens of one event. */
  tokensPerEvent: number
  /** How long an aborted answer holds its slot yet. */
  abortMs: number
  /** How much later than its requests the process's end is noticed. */
  exitLagMs: number
  closeMs: number
  /** It was up already when its launch was called off. */
  ignoresAbort?: boolean
}

export const quietScript: InstanceScript = {
  loadMs: 100,
  answers: [],
  prefillMs: 10,
  tokenMs: 5,
  tokensPerEvent: 1,
  abortMs: 0,
  exitLagMs: 0,
  closeMs: 10,
}

/** An instance as its script's author sees it. */
export interface ScriptedInstance extends EngineInstance {
  readonly spec: InstanceSpec
  /** What it was asked, in order. */
  readonly asked: readonly CompletionRequest[]
  alive(): boolean
  /** Its process has ended: what it took is free again. */
  gone(): boolean
  /** Answers under way. */
  running(): number
  die(kind: InstanceExit['kind'], reason?: string): void
}

/** One character a token, so that texts and tokens can be turned into each other. */
const firstLetter = 0x4e00
export const textOf = (tokens: readonly number[]) =>
  tokens.map((token) => String.fromCharCode(firstLetter + token)).join('')
const tokensOfText = (text: string) => [...text].map((letter) => letter.charCodeAt(0) - firstLetter)

function nextToken(tokens: readonly number[]): number {
  return (tokens.reduce((hash, token) => (hash * 31 + token + 7) % 9973, 1) % 89) + 1
}

/** What nothing disturbs. */
export function undisturbed(prompt: string, maxTokens: number): number[] {
  const tokens = tokensOfText(prompt)
  const { length } = tokens
  while (tokens.length < length + maxTokens) tokens.push(nextToken(tokens))
  return tokens.slice(length)
}

/** The words of a launch that failed. */
export const loadFailed = 'it does not load'

export interface ScriptedEngineOptions {
  clock: Clock
  /** What happens to the next instance. */
  script: (spec: InstanceSpec) => InstanceScript
  bytesOf: (spec: InstanceSpec) => number
  /** Tokens are told at the end of an answer only. */
  tokensAtEnd?: boolean
  /** Told when an instance is given more than it has slots for. */
  overbooked?: (instance: ScriptedInstance) => void
}

export interface ScriptedEngine extends Engine {
  /** All that were ever launched. */
  readonly instances: readonly ScriptedInstance[]
}

export function createScriptedEngine(options: ScriptedEngineOptions): ScriptedEngine {
  const instances: ScriptedInstance[] = []
  return {
    name: 'embedded',
    instances,
    probe: async () => ({ available: false, reason: 'nobody asks' }),
    async launch(spec, signal) {
      const script = options.script(spec)
      await options.clock.sleep(script.loadMs, script.ignoresAbort ? undefined : signal)
      if (script.loadError) throw new DroverError(script.loadError, loadFailed)
      const instance = createInstance(spec, script, options)
      instances.push(instance)
      return instance
    },
  }
}

const failures = {
  failure: () => new DroverError('engine_failed', 'a corrupt chunk'),
  busy: () => new DroverError('busy', 'server busy', { retryAfterMs: 20 }),
}

function createInstance(
  spec: InstanceSpec,
  script: InstanceScript,
  { clock, bytesOf, tokensAtEnd, overbooked }: ScriptedEngineOptions,
): ScriptedInstance {
  const death = new AbortController()
  const asked: CompletionRequest[] = []
  let running = 0
  let gone = false
  const end = Promise.withResolvers<InstanceExit>()

  function die(kind: InstanceExit['kind'], reason = 'segmentation fault'): void {
    if (death.signal.aborted) return
    death.abort(new DroverError('engine_crashed', 'the engine is gone'))
    clock.after(kind === 'closed' ? script.closeMs : script.exitLagMs, () => {
      gone = true
      end.resolve({ kind, reason })
    })
  }

  async function* generate(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const fate = script.answers[asked.length]
    asked.push(request)
    if (++running > spec.slots) overbooked?.(instance)
    try {
      yield* answer(request, fate, AbortSignal.any([signal, death.signal]))
    } catch (thrown) {
      if (signal.aborted && !death.signal.aborted && script.abortMs > 0) await clock.sleep(script.abortMs)
      throw thrown
    } finally {
      running--
    }
  }

  async function* answer(
    { prompt, maxTokens }: CompletionRequest,
    fate: AnswerScript | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    const tokens = typeof prompt === 'string' ? tokensOfText(prompt) : [...prompt]
    const promptTokens = tokens.length
    const startedAtMs = clock.monotonicMs()
    await clock.sleep(script.prefillMs, signal)
    yield { type: 'progress', processedTokens: promptTokens, totalTokens: promptTokens }
    for (let said = 0; said < maxTokens; ) {
      if (fate && said === fate.after) {
        if (fate.with !== 'stall') return strike(fate.with)
        await clock.sleep(stallMs, signal)
      }
      const untilFate = fate && said < fate.after ? fate.after - said : maxTokens
      const step = Math.min(script.tokensPerEvent, maxTokens - said, untilFate)
      await clock.sleep(script.tokenMs, signal)
      for (let count = 0; count < step; count++) tokens.push(nextToken(tokens))
      said += step
      const told = tokens.slice(-step)
      yield { type: 'token', text: textOf(told), tokens: tokensAtEnd ? [] : told }
    }
    signal.throwIfAborted()
    if (tokensAtEnd) yield { type: 'token', text: '', tokens: tokens.slice(promptTokens) }
    if (fate && fate.with !== 'stall' && fate.after >= maxTokens) return strike(fate.with)
    const usage = {
      promptTokens,
      cachedTokens: 0,
      outputTokens: tokens.length - promptTokens,
      promptMs: script.prefillMs,
      outputMs: clock.monotonicMs() - startedAtMs - script.prefillMs,
    }
    yield { type: 'done', reason: 'length', usage }
  }

  function strike(what: Exclude<AnswerScript['with'], 'stall'>): void {
    if (what === 'crash') die('crashed')
    else if (what !== 'break') throw failures[what]()
    death.signal.throwIfAborted()
  }

  const answering = async <T>(value: T): Promise<T> => {
    death.signal.throwIfAborted()
    return value
  }

  const instance: ScriptedInstance = {
    id: spec.id,
    engine: 'embedded',
    pid: 1,
    slots: spec.slots,
    contextLength: spec.contextLength,
    memory: { vramBytes: bytesOf(spec), hostBytes: 0 },
    ...(tokensAtEnd && { tokensAtEnd: true }),
    exited: end.promise,
    generate,
    embed: async () => ({ embeddings: [], promptTokens: 0 }),
    tokenize: (text) => answering(tokensOfText(text)),
    detokenize: (tokens) => answering(textOf(tokens)),
    load: () => ({ running, waiting: 0 }),
    ping: () => answering(undefined),
    kill: (reason) => die('hung', reason),
    close: async () => {
      die('closed')
      await end.promise
    },
    spec,
    asked,
    alive: () => !death.signal.aborted,
    gone: () => gone,
    running: () => running,
    die,
  }
  return instance
}
