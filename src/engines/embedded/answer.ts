import { type LlamaContextSequence, LlamaGrammarEvaluationState, type Token } from 'node-llama-cpp'
import type { Logprob } from '../../inference/index.ts'
import type { CompletionRequest, EngineDoneEvent, EngineEvent } from '../contract.ts'
import { evaluateLogprob } from './logprobs.ts'
import type { Prepared } from './prepare.ts'
import { eventWindow } from './protocol.ts'
import { toEvaluateOptions } from './sampling.ts'
import { createTextStream } from './text.ts'

/** One request that holds a sequence. The batch loop advances it a step at a time. */
export interface Answer {
  readonly id: number
  readonly sequence: LlamaContextSequence
  /** Prompt tokens still to evaluate; 0 once it decodes. */
  remainingPrompt(): number
  /** Its reader has room for what a step may give. */
  hasRoom(): boolean
  acknowledge(events: number): void
  /** Evaluates up to `promptTokens` of the prompt, or one token of the answer. */
  step(promptTokens: number): Promise<void>
  /** The events since the last call. */
  takeEvents(): EngineEvent[]
  done(): boolean
  /** Frees the sampler; the sequence keeps its cache. */
  release(): Promise<void>
}

export interface AnswerLimits {
  contextLength: number
  contextShift: boolean
}

/** Begins to answer on a sequence whose cache already is a prefix of the prompt. */
export function createAnswer(
  id: number,
  { prompt, grammar, vocabulary, model }: Prepared,
  request: CompletionRequest,
  sequence: LlamaContextSequence,
  limits: AnswerLimits,
): Answer {
  const { sampling, topLogprobs, maxTokens } = request
  const startedMs = performance.now()
  const cachedTokens = sequence.nextTokenIndex
  const history = prompt.slice()
  const text = createTextStream(request.stop)
  const preserved = new Set(request.preservedTokens)
  const options = {
    ...toEvaluateOptions(sampling, history, limits.contextLength),
    ...(grammar && { grammarEvaluationState: new LlamaGrammarEvaluationState({ model, grammar }) }),
  }
  let position = cachedTokens
  let tokens: AsyncGenerator<{ token: Token }> | undefined
  let firstTokenMs = 0
  let outputTokens = 0
  let room = eventWindow
  let events: EngineEvent[] = []
  /** What was sampled since the text that was last shown. */
  let unshown: { tokens: Token[]; logprobs: Logprob[] } = { tokens: [], logprobs: [] }
  let finished = prompt.length === 0
  if (finished) finish('stop')

  return {
    id,
    sequence,
    remainingPrompt: () => prompt.length - position,
    // A step gives two events at most: the last token, and the end.
    hasRoom: () => room >= 2,
    acknowledge(count) {
      room += count
    },
    async step(promptTokens) {
      if (tokens === undefined && position + promptTokens < prompt.length) return prefill(promptTokens)
      if (tokens === undefined) {
        tokens = sequence.evaluateWithMetadata(prompt.slice(position), {}, options)
        position = prompt.length
      }
      const { value, done } = await tokens.next()
      if (firstTokenMs === 0) firstTokenMs = performance.now()
      outputTokens++
      if (!done) return accept(value.token)
      // The model has ended its turn: what looked like the begin of a stop string was none.
      if (text.holds()) show(text.end())
      finish('stop')
    },
    takeEvents() {
      const taken = events
      room -= taken.length
      events = []
      return taken
    },
    done: () => finished,
    async release() {
      await tokens?.return(undefined)
    },
  }

  async function prefill(promptTokens: number): Promise<void> {
    await sequence.evaluateWithoutGeneratingNewTokens(prompt.slice(position, position + promptTokens))
    position += promptTokens
    events.push({ type: 'progress', processedTokens: position, totalTokens: prompt.length })
  }

  async function accept(token: Token): Promise<void> {
    history.push(token)
    unshown.tokens.push(token)
    if (topLogprobs !== undefined) {
      unshown.logprobs.push(await evaluateLogprob(sequence, token, topLogprobs, vocabulary))
    }
    const piece = text.push(vocabulary.visibleBytesOf(token, preserved))
    const stopped = piece.stop !== undefined
    const full = !stopped && (outputTokens >= maxTokens || !(await makeSpace()))
    if (full) show(piece.text + text.end())
    else if (stopped || !text.holds()) show(piece.text)
    if (stopped) finish('stop', piece.stop)
    else if (full) finish('length')
  }

  function show(shown: string): void {
    const { tokens, logprobs } = unshown
    events.push({ type: 'token', text: shown, tokens, ...(logprobs.length > 0 && { logprobs }) })
    unshown = { tokens: [], logprobs: [] }
  }

  /** False where the context is full and nothing may be dropped. */
  async function makeSpace(): Promise<boolean> {
    const evaluated = sequence.nextTokenIndex
    if (evaluated < limits.contextLength - 1) return true
    const range = limits.contextShift ? rangeToDrop(evaluated) : undefined
    if (!range) return false
    await sequence.eraseContextTokenRanges([range])
    return true
  }

  /** Keeps the prompt's first tokens and drops the older half of the others, as llama-server does. */
  function rangeToDrop(evaluated: number): { start: number; end: number } | undefined {
    const bos = vocabulary.beginsWithBos(prompt) ? 1 : 0
    const wanted = sampling.num_keep < 0 ? prompt.length : sampling.num_keep + bos
    const start = Math.min(wanted, limits.contextLength - 4)
    const end = start + Math.floor((evaluated - start) / 2)
    return end > start ? { start, end } : undefined
  }

  function finish(reason: EngineDoneEvent['reason'], stopSequence?: string): void {
    finished = true
    const endMs = performance.now()
    const decodeStartMs = firstTokenMs || endMs
    events.push({
      type: 'done',
      reason,
      usage: {
        promptTokens: prompt.length,
        cachedTokens,
        outputTokens,
        promptMs: decodeStartMs - startedMs,
        outputMs: endMs - decodeStartMs,
      },
      ...(stopSequence !== undefined && { stopSequence }),
    })
  }
}
