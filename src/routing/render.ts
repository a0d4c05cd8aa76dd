import type { ChatPrompt, EngineInstance } from '../engines/index.ts'
import {
  DroverError,
  defaultOptions,
  type InferenceRequest,
  type Message,
  type ModelOptions,
} from '../inference/index.ts'
import { compileTemplate, type PromptTemplate } from '../prompts/index.ts'
import type { ResolvedModel } from './resolve.ts'

/** A request turned into what an engine reads. */
export interface RenderedPrompt {
  text: string
  images: Uint8Array[]
  template: PromptTemplate
  /** The answer may hold thinking and calls to tell apart; false for raw and inserted text. */
  structured: boolean
}

const tooLong =
  'the prompt is longer than the context length currently available to the model; shorten the prompt, adjust the ' +
  'context length in settings, or use a model with a longer context length'

/** Prompts of conversations, rendered by the model's or the request's template. */
export function renderRequest(request: InferenceRequest, model: ResolvedModel, history = ''): RenderedPrompt {
  if (request.kind === 'generate' && request.raw) {
    return { text: request.prompt, images: request.images ?? [], template: model.template, structured: false }
  }
  if (request.kind === 'generate' && request.suffix) {
    const template = templateOf(request, model)
    return {
      text: template.renderInsert(request.prompt, request.suffix),
      images: [],
      template,
      structured: false,
    }
  }
  const template = templateOf(request, model)
  const { messages, images } = placeImages(messagesOf(request, model))
  const tools = request.kind === 'chat' ? (request.tools ?? []) : []
  const think = thinkOf(request, model)
  const text = history + template.render({ messages, tools, ...(think !== undefined && { think }) })
  return { text, images, template, structured: true }
}

/** Each image's place in the text, `[img-0]` and so on: before its message's words, or where they say `[img]`. */
function placeImages(messages: readonly Message[]): { messages: Message[]; images: Uint8Array[] } {
  const images: Uint8Array[] = []
  const placed = messages.map((message) => {
    if (!message.images?.length) return message
    let before = ''
    let { content } = message
    for (const image of message.images) {
      const place = `[img-${images.push(image) - 1}]`
      if (content.includes('[img]')) content = content.replace('[img]', place)
      else before += place
    }
    return { ...message, content: before + content }
  })
  return { messages: placed, images }
}

/** Whether, and how hard, to think: a thinking model does unless told not to; others are told nothing. */
export function thinkOf(request: InferenceRequest, model: ResolvedModel): InferenceRequest['think'] {
  return request.think ?? (model.description.capabilities.includes('thinking') ? true : undefined)
}

function templateOf(request: InferenceRequest, model: ResolvedModel): PromptTemplate {
  if (request.kind !== 'generate' || !request.template) return model.template
  const { parser } = model.template
  return { ...compileTemplate({ goTemplate: request.template }), ...(parser && { parser }) }
}

/** The conversation as it is rendered, for who renders it himself. */
export function chatOf(request: InferenceRequest, model: ResolvedModel): Omit<ChatPrompt, 'prompt'> {
  const think = thinkOf(request, model)
  return {
    messages: messagesOf(request, model),
    tools: request.kind === 'chat' ? (request.tools ?? []) : [],
    ...(think !== undefined && { think }),
  }
}

/** The conversation with what the model file adds to it: its example messages and its system prompt. */
function messagesOf(request: InferenceRequest, model: ResolvedModel): Message[] {
  const { messages: preset, system } = model.description.stored
  if (request.kind === 'chat') {
    const messages = [...preset, ...request.messages]
    const addSystem = system && request.messages[0]?.role !== 'system'
    return addSystem ? [{ role: 'system', content: system }, ...messages] : messages
  }
  const messages: Message[] = [...preset]
  const systemText = request.system ?? system
  if (systemText) messages.unshift({ role: 'system', content: systemText })
  messages.push({ role: 'user', content: request.prompt, ...(request.images && { images: request.images }) })
  return messages
}

/** A prompt that fits, and the images that are still in it. */
export interface FittedPrompt {
  prompt: string | number[]
  images: Uint8Array[]
  tokenCount?: number
}

/** What an image takes of a context, by Ollama's estimate: only the engine knows, and only once it has read it. */
export const imageTokens = 768

/**
 * Makes the prompt fit the instance's context. A conversation loses its oldest turns, but never the system's nor
 * the last; a single prompt that is still too long loses its middle, so that about half the context is free.
 * Throws `context_exceeded` where the request forbids it. `mostTokens` is what the text is at most: no token is shorter
 * than a byte.
 */
export async function fitPrompt(
  { text, images }: RenderedPrompt,
  request: InferenceRequest,
  model: ResolvedModel,
  instance: EngineInstance,
  options: ModelOptions,
  history: string,
  mostTokens = Buffer.byteLength(text),
): Promise<FittedPrompt> {
  const limit = instance.contextLength - 1
  // So most prompts are known to fit without counting. The tokenizer may add a BOS and a leading space.
  if (mostTokens + 2 + images.length * imageTokens <= limit) return { prompt: text, images }
  const tokens = await instance.tokenize(text, { addSpecial: true })
  let whole = { text, images, tokens }
  if (tokens.length + images.length * imageTokens > limit && request.truncate !== false) {
    if (request.kind === 'chat') whole = await dropOldest(request, model, instance, limit, history)
  }
  if (whole.tokens.length <= limit) {
    return { prompt: whole.text, images: whole.images, tokenCount: whole.tokens.length }
  }
  if (request.truncate === false || request.shift === false || images.length > 0) {
    throw new DroverError('context_exceeded', tooLong)
  }
  const kept = dropMiddle(whole.tokens, options.num_keep ?? defaultOptions.num_keep, instance.contextLength)
  return { prompt: kept, images, tokenCount: kept.length }
}

/** Renders the conversation without its oldest turns: as few as needed, found by halving. */
async function dropOldest(
  request: InferenceRequest & { kind: 'chat' },
  model: ResolvedModel,
  instance: EngineInstance,
  limit: number,
  history: string,
): Promise<{ text: string; images: Uint8Array[]; tokens: number[] }> {
  const attempt = async (dropped: number) => {
    const messages = withoutOldest(request.messages, dropped)
    const { text, images } = renderRequest({ ...request, messages }, model, history)
    return { text, images, tokens: await instance.tokenize(text, { addSpecial: true }) }
  }
  const fits = ({ tokens, images }: { images: Uint8Array[]; tokens: number[] }) =>
    tokens.length + images.length * imageTokens <= limit
  let fewest = 1
  let most = Math.max(1, request.messages.filter((message) => message.role !== 'system').length - 1)
  let best = await attempt(most)
  if (!fits(best)) return best
  while (fewest < most) {
    const middle = (fewest + most) >> 1
    const tried = await attempt(middle)
    if (fits(tried)) {
      best = tried
      most = middle
    } else {
      fewest = middle + 1
    }
  }
  return best
}

/** The messages without the first `count` that are not the system's. The last message always stays. */
export function withoutOldest(messages: Message[], count: number): Message[] {
  let left = count
  return messages.filter((message, index) => {
    if (message.role === 'system' || index === messages.length - 1 || left === 0) return true
    left--
    return false
  })
}

/** Keeps the first `keep` tokens and the last ones, so that about half of the context stays free. */
export function dropMiddle(tokens: number[], keep: number, contextLength: number): number[] {
  const room = Math.max(1, contextLength >> 1)
  const head = Math.min(keep < 0 ? room : keep, room - 1)
  return [...tokens.slice(0, head), ...tokens.slice(tokens.length - (room - head))]
}
