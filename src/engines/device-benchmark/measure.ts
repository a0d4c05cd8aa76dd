import type { Clock } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { CompletionRequest, Engine, EngineDoneEvent, EngineInstance, InstanceSpec } from '../contract.ts'
import { type BenchmarkModel, benchmarkContextLength, benchmarkPrompt } from './model.ts'

/** What a run of the benchmark measured: medians over its rounds. */
export interface BenchmarkFigures {
  /** Bytes of the synthetic model. */
  modelBytes: number
  prefillTokensPerSecond: number
  /** Of one answer alone. */
  decodeTokensPerSecond: number
  /** Of `parallelStreams` answers at once, together. */
  decodeParallelTokensPerSecond: number
  parallelStreams: number
  /** Weights read a second while one answer is decoded, 10^9 bytes. */
  bandwidthGBs: number
  /** From the launch until requests were taken, the model's file being in the system's cache. */
  loadMs: number
  /** How far the rounds lay from their median at most, as a share of it. */
  spread: { prefill: number; decode: number; decodeParallel: number }
}

/** What of an instance the benchmark does not decide: where it runs, and how. */
export type BenchmarkTemplate = Omit<InstanceSpec, 'modelName' | 'modelPath' | 'contextLength' | 'slots'>

export type BenchmarkStage = 'load' | 'prefill' | 'decode' | 'parallel decode'

export interface BenchmarkOptions {
  engine: Engine
  spec: BenchmarkTemplate
  model: BenchmarkModel
  clock: Clock
  signal: AbortSignal
  /** Shorter prompts and answers, and fewer rounds: a second or two, and coarser figures. */
  quick?: boolean
  onStage?(stage: BenchmarkStage): void
}

/** Answers at once, as many as the routing commonly gives a device. */
const parallelStreams = 8
interface Effort {
  /** Of each kind three at least, for a median; more while they have not taken `ms`. */
  rounds: { least: number; most: number; ms: number }
  /** They grow fourfold to the longest, as long as one of that length would not take more than `mostMs`. */
  prompts: { shortest: number; longest: number; mostMs: number }
  /** One is as long as takes about `ms`. */
  answers: { shortest: number; longest: number; ms: number }
}

const usual: Effort = {
  rounds: { least: 3, most: 5, ms: 1_500 },
  prompts: { shortest: 128, longest: 2048, mostMs: 1_000 },
  answers: { shortest: 16, longest: 512, ms: 400 },
}
const quickly: Effort = {
  rounds: { least: 3, most: 3, ms: 0 },
  prompts: { shortest: 128, longest: 512, mostMs: 250 },
  answers: { shortest: 16, longest: 512, ms: 100 },
}
/** Enough for the engine to begin with; attention to it costs nothing. */
const decodePromptTokens = 16

/**
 * Starts one instance of the model, measures how fast it loads, reads and writes, and ends it: a few seconds, on a slow
 * device more. Nothing is left running, whatever happens. Throws what `Engine.launch` and `generate` throw, and the
 * signal's reason.
 */
export async function benchmarkDevice(options: BenchmarkOptions): Promise<BenchmarkFigures> {
  const { engine, spec, model, clock, signal, quick = false, onStage = () => undefined } = options
  const effort = quick ? quickly : usual
  const whole: InstanceSpec = {
    ...spec,
    modelName: 'the benchmark model',
    modelPath: model.path,
    contextLength: benchmarkContextLength,
    slots: parallelStreams,
  }
  onStage('load')
  const startedMs = clock.monotonicMs()
  const instance = await engine.launch(whole, signal)
  const loadMs = clock.monotonicMs() - startedMs
  try {
    const run = createRunner(instance, clock, signal)
    const streams = Math.min(parallelStreams, instance.slots)
    onStage('prefill')
    const prefill = await measurePrefill(run, effort, clock)
    onStage('decode')
    const decode = await measureDecode(run, 1, effort, clock)
    onStage('parallel decode')
    const parallel = await measureDecode(run, streams, effort, clock)
    return {
      modelBytes: model.bytes,
      prefillTokensPerSecond: prefill.median,
      decodeTokensPerSecond: decode.median,
      decodeParallelTokensPerSecond: parallel.median,
      parallelStreams: streams,
      bandwidthGBs: (decode.median * model.bytesReadPerToken) / 1e9,
      loadMs,
      spread: { prefill: prefill.spread, decode: decode.spread, decodeParallel: parallel.spread },
    }
  } finally {
    await instance.close()
  }
}

/** Tokens that came together. */
export interface Arrival {
  atMs: number
  tokens: number
}

interface Answer {
  /** From the request until the first token. */
  firstTokenMs: number
  arrivals: Arrival[]
  done: EngineDoneEvent
}

/** Asks for an answer of `maxTokens` to a prompt of `promptTokens` that no request before has had. */
type Run = (promptTokens: number, maxTokens: number) => Promise<Answer>

function createRunner(instance: EngineInstance, clock: Clock, signal: AbortSignal): Run {
  let requests = 0
  return async (promptTokens, maxTokens) => {
    const startedMs = clock.monotonicMs()
    const arrivals: Arrival[] = []
    const request = requestOf(benchmarkPrompt(promptTokens, requests++), maxTokens)
    for await (const event of instance.generate(request, signal)) {
      if (event.type === 'token') arrivals.push({ atMs: clock.monotonicMs(), tokens: event.tokens.length })
      if (event.type !== 'done') continue
      const got = sumOf(arrivals.map(({ tokens }) => tokens))
      if (got < maxTokens) throw unmeasurable(`gave ${got} tokens where ${maxTokens} were asked for`)
      return { firstTokenMs: (arrivals[0]?.atMs ?? startedMs) - startedMs, arrivals, done: event }
    }
    throw unmeasurable('ended an answer without saying so')
  }
}

function requestOf(prompt: number[], maxTokens: number): CompletionRequest {
  return {
    prompt,
    maxTokens,
    stop: [],
    // The likeliest token each time: the least work beside the model's own.
    sampling: {
      num_keep: 0,
      seed: 1,
      temperature: 0,
      top_k: 1,
      top_p: 1,
      min_p: 0,
      typical_p: 1,
      repeat_last_n: 0,
      repeat_penalty: 1,
      presence_penalty: 0,
      frequency_penalty: 0,
    },
  }
}

async function measurePrefill(run: Run, { prompts, rounds }: Effort, clock: Clock): Promise<Rate> {
  const read = async (tokens: number) => {
    const { done, firstTokenMs } = await run(tokens, 1)
    const { promptTokens, cachedTokens, promptMs } = done.usage
    // The engine's own figure is without the way to it and back.
    return { tokens: promptTokens - cachedTokens, tookMs: promptMs || firstTokenMs }
  }
  // The first ones warm the device up, and tell how long a prompt it can take.
  let length = prompts.shortest
  for (;;) {
    const { tookMs } = await read(length)
    if (length >= prompts.longest || tookMs * 4 > prompts.mostMs) break
    length *= 4
  }
  return inRounds(
    async () => {
      const { tokens, tookMs } = await read(length)
      return perSecond(tokens, tookMs)
    },
    rounds,
    clock,
  )
}

async function measureDecode(
  run: Run,
  streams: number,
  { answers, rounds }: Effort,
  clock: Clock,
): Promise<Rate> {
  const write = async (tokens: number) => {
    const all = Array.from({ length: streams }, () => run(decodePromptTokens, tokens))
    return steadyRate((await Promise.all(all)).map(({ arrivals }) => arrivals))
  }
  const rate = await write(answers.shortest)
  const fitting = Math.round(((rate / streams) * answers.ms) / 1000)
  const tokens = Math.min(answers.longest, Math.max(answers.shortest, fitting))
  return inRounds(() => write(tokens), rounds, clock)
}

/**
 * Tokens a second of all answers together, each by its own tokens, in the time in which every answer was being written:
 * the emptier batches at begin and end do not count. Where the answers hardly overlapped, over all their time.
 */
export function steadyRate(answers: readonly (readonly Arrival[])[]): number {
  const from = Math.max(...answers.map((arrivals) => arrivals[0]?.atMs ?? 0))
  const to = Math.min(...answers.map((arrivals) => arrivals.at(-1)?.atMs ?? 0))
  const steady = answers.map((arrivals) => arrivals.filter(({ atMs }) => atMs >= from && atMs <= to))
  if (steady.every((arrivals) => arrivals.length > 1)) return sumOf(steady.map(rateOf))
  return rateOf(answers.flat().toSorted((a, b) => a.atMs - b.atMs))
}

/** The first arrival only begins the time: how long its tokens took is not known. */
function rateOf(arrivals: readonly Arrival[]): number {
  const tokens = sumOf(arrivals.slice(1).map((arrival) => arrival.tokens))
  return perSecond(tokens, (arrivals.at(-1)?.atMs ?? 0) - (arrivals[0]?.atMs ?? 0))
}

const sumOf = (numbers: readonly number[]) => numbers.reduce((sum, number) => sum + number, 0)

interface Rate {
  median: number
  spread: number
}

async function inRounds(
  measure: () => Promise<number>,
  rounds: Effort['rounds'],
  clock: Clock,
): Promise<Rate> {
  const startedMs = clock.monotonicMs()
  const rates: number[] = []
  while (
    rates.length < rounds.least ||
    (rates.length < rounds.most && clock.monotonicMs() - startedMs < rounds.ms)
  ) {
    rates.push(await measure())
  }
  return summaryOf(rates)
}

/** The median of some rates, at least one and all above 0, and how far the others lie from it as a share of it. */
export function summaryOf(rates: readonly number[]): Rate {
  const sorted = rates.toSorted((a, b) => a - b)
  const half = (sorted.length - 1) / 2
  const median = ((sorted[Math.floor(half)] ?? 0) + (sorted[Math.ceil(half)] ?? 0)) / 2
  const farthest = Math.max(...sorted.map((rate) => Math.abs(rate - median)))
  return { median, spread: farthest / median }
}

function perSecond(tokens: number, ms: number): number {
  if (tokens > 0 && ms > 0) return (tokens / ms) * 1000
  throw unmeasurable(`gave ${tokens} tokens within ${ms} ms, of which no rate can be told`)
}

function unmeasurable(what: string): DroverError {
  return new DroverError('engine_failed', `the engine could not be measured: it ${what}`)
}
