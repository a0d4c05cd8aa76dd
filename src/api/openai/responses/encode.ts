import type { DroverError, InferenceEvent, ToolCall, Usage } from '../../../inference/index.ts'
import type { EventEncoder, WholeAnswer } from '../../answer.ts'
import { jsonString, jsonValue } from '../../go-json/index.ts'
import type { ResponsesBody } from './request.ts'

/** Ids as Ollama makes them: one number for all that belongs to an answer. */
interface Ids {
  response: string
  message: string
  reasoning: string
  call(index: number): string
}

function createIds(): Ids {
  const number = Math.floor(Math.random() * 999_999)
  return {
    response: `resp_${number}`,
    message: `msg_${number}`,
    reasoning: `rs_${number}`,
    call: (index) => `fc_${number}_${index}`,
  }
}

const summaryPart = (text: string) => ({ type: 'summary_text', text })

const reasoningItem = (ids: Ids, text: string) => ({
  id: ids.reasoning,
  type: 'reasoning',
  summary: text === '' ? [] : [summaryPart(text)],
  ...(text !== '' && { encrypted_content: text }),
})

const textPart = (text: string) => ({ type: 'output_text', text, annotations: [], logprobs: [] })

const messageItem = (ids: Ids, status: string, content: readonly object[]) => ({
  id: ids.message,
  type: 'message',
  status,
  role: 'assistant',
  content,
})

const callItem = (ids: Ids, index: number, { id = '', function: called }: ToolCall, status: string) => ({
  id: ids.call(index),
  type: 'function_call',
  status,
  call_id: id,
  name: called.name,
  arguments: status === 'completed' ? jsonValue(called.arguments) : '',
})

/** The `response` object, in whatever state. */
function responseOf(
  ids: Ids,
  createdAt: number,
  body: ResponsesBody,
  state: {
    status: string
    output: readonly object[]
    usage?: Usage
    error?: { code: string; message: string }
  },
): object {
  const { usage } = state
  return {
    id: ids.response,
    object: 'response',
    created_at: createdAt,
    completed_at: state.status === 'completed' ? Math.floor(Date.now() / 1000) : null,
    status: state.status,
    incomplete_details: null,
    model: body.model ?? '',
    previous_response_id: null,
    instructions: body.instructions ?? null,
    output: state.output,
    error: state.error ?? null,
    tools: body.tools ?? [],
    tool_choice: 'auto',
    truncation: body.truncation || 'disabled',
    parallel_tool_calls: true,
    text: { format: body.text?.format ?? { type: 'text' } },
    top_p: body.top_p ?? 1,
    presence_penalty: 0,
    frequency_penalty: 0,
    top_logprobs: 0,
    temperature: body.temperature ?? 1,
    reasoning: body.reasoning
      ? { effort: body.reasoning.effort ?? null, summary: body.reasoning.summary ?? null }
      : null,
    usage: usage ? usageOf(usage) : null,
    max_output_tokens: body.max_output_tokens ?? null,
    max_tool_calls: null,
    store: false,
    background: body.background ?? false,
    service_tier: 'default',
    metadata: {},
    safety_identifier: null,
    prompt_cache_key: null,
  }
}

function usageOf({ promptTokens, cachedTokens, outputTokens }: Usage): object {
  return {
    input_tokens: promptTokens,
    output_tokens: outputTokens,
    total_tokens: promptTokens + outputTokens,
    input_tokens_details: { cached_tokens: cachedTokens },
    output_tokens_details: { reasoning_tokens: 0 },
  }
}

const nowSeconds = () => Math.floor(Date.now() / 1000)

/** A whole response. A length limit counts as completed, as in Ollama. */
export function responseJson(body: ResponsesBody, answer: WholeAnswer): string {
  const ids = createIds()
  const output = [
    ...(answer.thinking === '' ? [] : [reasoningItem(ids, answer.thinking)]),
    ...answer.toolCalls.map((call, index) => callItem(ids, index, call, 'completed')),
    ...(answer.text === '' && answer.toolCalls.length > 0
      ? []
      : [messageItem(ids, 'completed', [textPart(answer.text)])]),
  ]
  const { usage } = answer.done
  return jsonValue(responseOf(ids, nowSeconds(), body, { status: 'completed', output, usage }))
}

/** Writes the events of a streamed response, numbered from 0; every item is opened, filled and closed in turn. */
export function createResponsesEncoder(body: ResponsesBody): EventEncoder {
  const ids = createIds()
  const createdAt = nowSeconds()
  const output: object[] = []
  let sequence = 0
  let calls = 0
  let thinking = ''
  let text = ''
  let open: 'reasoning' | 'message' | undefined
  let begun = false

  const frame = (type: string, data: string) =>
    `event: ${type}\ndata: {"type":"${type}","sequence_number":${sequence++},${data}}\n\n`
  const framed = (type: string, data: object) => frame(type, jsonValue(data).slice(1, -1))
  const response = (state: Parameters<typeof responseOf>[3]) => ({
    response: responseOf(ids, createdAt, body, state),
  })
  const place = () => ({ output_index: output.length })
  const inMessage = () => ({ item_id: ids.message, ...place(), content_index: 0 })
  const inReasoning = () => ({ item_id: ids.reasoning, ...place(), summary_index: 0 })

  const begin = () => {
    if (begun) return ''
    begun = true
    const state = response({ status: 'in_progress', output: [] })
    return framed('response.created', state) + framed('response.in_progress', state)
  }
  const close = (): string => {
    const was = open
    open = undefined
    if (was === 'reasoning') {
      const item = reasoningItem(ids, thinking)
      const written =
        framed('response.reasoning_summary_text.done', { ...inReasoning(), text: thinking }) +
        framed('response.reasoning_summary_part.done', { ...inReasoning(), part: summaryPart(thinking) }) +
        framed('response.output_item.done', { ...place(), item })
      output.push(item)
      return written
    }
    if (was !== 'message') return ''
    const part = textPart(text)
    const item = messageItem(ids, 'completed', [part])
    const written =
      framed('response.output_text.done', { ...inMessage(), text, logprobs: [] }) +
      framed('response.content_part.done', { ...inMessage(), part }) +
      framed('response.output_item.done', { ...place(), item })
    output.push(item)
    return written
  }
  const openMessage = () => {
    if (open === 'message') return ''
    const written =
      close() +
      framed('response.output_item.added', { ...place(), item: messageItem(ids, 'in_progress', []) }) +
      framed('response.content_part.added', { ...inMessage(), part: textPart('') })
    open = 'message'
    return written
  }
  const openReasoning = () => {
    if (open === 'reasoning') return ''
    // Ollama leaves the part's events out, without which OpenAI's own client fails.
    const written =
      close() +
      framed('response.output_item.added', { ...place(), item: reasoningItem(ids, '') }) +
      framed('response.reasoning_summary_part.added', { ...inReasoning(), part: summaryPart('') })
    open = 'reasoning'
    return written
  }
  const wholeCall = (call: ToolCall) => {
    const closed = close()
    const index = calls++
    const item = callItem(ids, index, call, 'completed')
    const at = { item_id: ids.call(index), ...place() }
    const written =
      framed('response.output_item.added', { ...place(), item: callItem(ids, index, call, 'in_progress') }) +
      framed('response.function_call_arguments.delta', { ...at, delta: item.arguments }) +
      framed('response.function_call_arguments.done', { ...at, arguments: item.arguments }) +
      framed('response.output_item.done', { ...place(), item })
    output.push(item)
    return closed + written
  }

  const event = (event: InferenceEvent): string => {
    const opening = begin()
    switch (event.type) {
      case 'token': {
        if (event.text === '') return opening
        const before = openMessage()
        text += event.text
        const at = `"item_id":"${ids.message}","output_index":${output.length},"content_index":0`
        const delta = `${at},"delta":${jsonString(event.text)},"logprobs":[]`
        return opening + before + frame('response.output_text.delta', delta)
      }
      case 'thinking': {
        if (event.text === '') return opening
        const before = openReasoning()
        thinking += event.text
        const delta = { ...inReasoning(), delta: event.text }
        return opening + before + framed('response.reasoning_summary_text.delta', delta)
      }
      case 'toolCall':
        return opening + wholeCall(event.call)
      default: {
        // An answer of nothing is still a message.
        const empty = output.length === 0 && open !== 'message' ? openMessage() : ''
        const closed = close()
        const state = response({ status: 'completed', output, usage: event.usage })
        return opening + empty + closed + framed('response.completed', state)
      }
    }
  }
  const failure = ({ message }: DroverError) => {
    const error = { code: 'server_error', message }
    return begin() + framed('response.failed', response({ status: 'failed', output, error }))
  }
  return { contentType: 'text/event-stream', event, failure }
}
