import type { CompletionRequest, EngineInstance } from '../engines/index.ts'
import type { InferenceEvent, InferenceRequest, ModelOptions } from '../inference/index.ts'
import { createOutputParser } from '../prompts/index.ts'
import { maxTokensOf, samplingOf } from './options.ts'
import { chatOf, fitPrompt, type RenderedPrompt, renderRequest, thinkOf } from './render.ts'
import type { ResolvedModel } from './resolve.ts'
import type { Generate } from './run.ts'
import { type StreamEnd, streamCompletion, streamFormattedThinking } from './stream.ts'

/** A request as an engine gets it. */
export interface Prepared {
  rendered: RenderedPrompt
  completion: CompletionRequest
}

/** Renders the prompt, of `mostTokens` where that is known, makes it fit, and collects what the engine has to know. */
export async function prepare(
  request: InferenceRequest,
  model: ResolvedModel,
  options: ModelOptions,
  instance: EngineInstance,
  known?: RenderedPrompt,
  mostTokens?: number,
): Promise<Prepared> {
  const past = request.kind === 'generate' ? request.context : undefined
  const history = past && past.length > 0 ? await instance.detokenize(past) : ''
  const rendered = known ?? renderRequest(request, model, history)
  if (instance.chatOnly) return prepareChat(request, model, options, instance, rendered)
  const fitted = await fitPrompt(rendered, request, model, instance, options, history, mostTokens)
  const completion: CompletionRequest = {
    prompt: fitted.prompt,
    sampling: samplingOf(options),
    maxTokens: maxTokensOf(options, instance.contextLength),
    stop: options.stop ?? [],
    ...(fitted.images.length > 0 && { images: fitted.images }),
    ...(request.format !== undefined && { format: request.format }),
    ...(rendered.structured &&
      rendered.template.parser && { preservedTokens: rendered.template.parser.preservedTokens }),
    ...(request.logprobs && { topLogprobs: request.topLogprobs ?? 0 }),
  }
  if (request.shift === false) {
    const promptTokens = fitted.tokenCount ?? (await countTokens(fitted.prompt, instance))
    completion.maxTokens = Math.max(1, Math.min(completion.maxTokens, instance.contextLength - promptTokens))
  }
  return { rendered, completion }
}

/** For a server that renders and parses by itself: it also cuts what is too long, or refuses it. */
function prepareChat(
  request: InferenceRequest,
  model: ResolvedModel,
  options: ModelOptions,
  instance: EngineInstance,
  rendered: RenderedPrompt,
): Prepared {
  const chat = rendered.structured ? chatOf(request, model) : undefined
  const completion: CompletionRequest = {
    prompt: rendered.text,
    sampling: samplingOf(options),
    maxTokens: maxTokensOf(options, instance.contextLength),
    stop: options.stop ?? [],
    ...(request.format !== undefined && { format: request.format }),
    ...(request.logprobs && { topLogprobs: request.topLogprobs ?? 0 }),
    ...(chat && { chat: { ...chat, prompt: rendered.text } }),
  }
  return { rendered: { ...rendered, structured: false }, completion }
}

export async function countTokens(prompt: string | number[], instance: EngineInstance): Promise<number> {
  if (typeof prompt !== 'string') return prompt.length
  return (await instance.tokenize(prompt, { addSpecial: true })).length
}

/** The events of an answer, thinking and calls told apart. */
export function startStream(
  request: InferenceRequest,
  model: ResolvedModel,
  { rendered, completion }: Prepared,
  generate: Generate,
  signal: AbortSignal,
): AsyncGenerator<InferenceEvent, StreamEnd> {
  if (!rendered.structured) return streamCompletion(generate, completion, undefined, signal)
  const { template } = rendered
  const think = thinkOf(request, model)
  const thoughtEnd =
    template.parser?.thoughtEnd ?? (template.thinkTags && { ...template.thinkTags, answer: '\n\n' })
  const parseThinking = Boolean(think) && thoughtEnd !== undefined
  const tools = request.kind === 'chat' ? (request.tools ?? []) : []
  const createParser = (prompt: string) =>
    createOutputParser({ template, prompt, parseThinking, tools, ...(think !== undefined && { think }) })
  const { prompt, format } = completion
  if (format !== undefined && parseThinking && typeof prompt === 'string') {
    const { format: _format, ...free } = completion
    return streamFormattedThinking(generate, { ...free, prompt }, format, createParser, thoughtEnd, signal)
  }
  const parses = parseThinking || tools.length > 0 || template.parser !== undefined
  return streamCompletion(generate, completion, parses ? createParser(rendered.text) : undefined, signal)
}

/** Prompt and answer as tokens, by which a generate request can be continued. */
export async function contextOf(
  request: InferenceRequest,
  { completion }: Prepared,
  instance: EngineInstance,
  end: StreamEnd,
): Promise<number[] | undefined> {
  if (request.kind !== 'generate' || request.raw) return undefined
  const { prompt } = completion
  const promptTokens =
    typeof prompt === 'string' ? await instance.tokenize(prompt, { addSpecial: false }) : prompt
  return [...promptTokens, ...end.outputTokens]
}
