import type {
  DoneEvent,
  DroverError,
  InferenceEvent,
  Logprob,
  ToolCall,
  Usage,
} from '../../inference/index.ts'
import type { EventEncoder, WholeAnswer } from '../answer.ts'
import { jsonString, jsonValue } from '../go-json/index.ts'
import { logprobsJson } from '../logprobs.ts'

/** Ollama's small ids: `chatcmpl-` or `cmpl-` and a number up to 998. */
const answerId = (prefix: 'chatcmpl' | 'cmpl') => `${prefix}-${Math.floor(Math.random() * 999)}`

const nowSeconds = () => Math.floor(Date.now() / 1000)

const sse = 'text/event-stream'
const endOfStream = 'data: [DONE]\n\n'

const errorTypes = new Map([
  [400, 'invalid_request_error'],
  [404, 'not_found_error'],
  [429, 'rate_limit_error'],
])

/** OpenAI's error envelope. */
export function errorJson(error: DroverError): string {
  const type = errorTypes.get(error.status) ?? 'api_error'
  return `{"error":{"message":${jsonString(error.message)},"type":"${type}","param":null,"code":null}}`
}

/**
 * A stream that breaks ends with an error event and without `[DONE]`. Ollama sends an empty piece there, which
 * clients take for the end of a good answer; this they report.
 */
const failure = (error: DroverError) => `data: ${errorJson(error)}\n\n`

/** Writes the events of a chat completion: role in the first piece, a piece of its own for the end. */
export function createChatEncoder(model: string, options: { includeUsage: boolean }): EventEncoder {
  const head = `{"id":"${answerId('chatcmpl')}","object":"chat.completion.chunk","created":${nowSeconds()}`
  const frame = `data: ${head},"model":${jsonString(model)},"system_fingerprint":"fp_ollama","choices":[`
  const beforeText = `${frame}{"index":0,"delta":{"content":`
  const afterText = '},"finish_reason":null}]}\n\n'
  let started = false
  let calledTool = false

  const piece = (delta: string, logprobs?: Logprob[]) => {
    const role = started ? '' : '"role":"assistant",'
    started = true
    return `${frame}{"index":0,"delta":{${role}${delta}},"finish_reason":null${logprobsMember(logprobs)}}]}\n\n`
  }
  const event = (event: InferenceEvent): string => {
    if (event.type === 'token') {
      const { text, logprobs } = event
      if (text === '' && !logprobs?.length) return ''
      if (started && !logprobs) return beforeText + jsonString(text) + afterText
      return piece(`"content":${jsonString(text)}`, logprobs)
    }
    if (event.type === 'thinking') {
      if (event.text === '' && !event.logprobs?.length) return ''
      return piece(`"content":"","reasoning":${jsonString(event.text)}`, event.logprobs)
    }
    if (event.type === 'toolCall') {
      calledTool = true
      return piece(`"content":"","tool_calls":[${toolCallJson(event.call)}]`, event.logprobs)
    }
    return ending(event)
  }
  const ending = (done: DoneEvent) => {
    const opening = started ? '' : piece('"content":""')
    const reason = jsonString(finishReason(done, calledTool))
    const finish = `${frame}{"index":0,"delta":{},"finish_reason":${reason}}]}\n\n`
    const usage = options.includeUsage ? `${frame}],"usage":${usageJson(done.usage)}}\n\n` : ''
    return opening + finish + usage + endOfStream
  }
  return { contentType: sse, event, failure }
}

/** A whole chat completion. */
export function chatCompletionJson(model: string, answer: WholeAnswer): string {
  const calls = answer.toolCalls.map(toolCallJson).join(',')
  const message =
    `{"role":"assistant","content":${jsonString(answer.text)}` +
    (answer.thinking === '' ? '' : `,"reasoning":${jsonString(answer.thinking)}`) +
    `${calls === '' ? '' : `,"tool_calls":[${calls}]`}}`
  const reason = jsonString(finishReason(answer.done, calls !== ''))
  const choice = `{"index":0,"message":${message},"finish_reason":${reason}${logprobsMember(answer.logprobs)}}`
  return (
    `{"id":"${answerId('chatcmpl')}","object":"chat.completion","created":${nowSeconds()},` +
    `"model":${jsonString(model)},"system_fingerprint":"fp_ollama","choices":[${choice}],` +
    `"usage":${usageJson(answer.done.usage)}}`
  )
}

const noUsage = ',"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}'

/** Writes the events of a text completion. With `includeUsage` every piece carries a usage, zero but for the last. */
export function createCompletionEncoder(model: string, options: { includeUsage: boolean }): EventEncoder {
  const head = `{"id":"${answerId('cmpl')}","object":"text_completion","created":${nowSeconds()},"choices":[`
  const beforeText = `data: ${head}{"text":`
  const names = `"model":${jsonString(model)},"system_fingerprint":"fp_ollama"`
  const tail = `],${names}${options.includeUsage ? noUsage : ''}}\n\n`
  const afterText = `,"index":0,"finish_reason":null}${tail}`

  const event = (event: InferenceEvent): string => {
    if (event.type === 'token') {
      const { text, logprobs } = event
      if (logprobs?.length) {
        return `${beforeText}${jsonString(text)},"index":0,"finish_reason":null${logprobsMember(logprobs)}}${tail}`
      }
      return text === '' ? '' : beforeText + jsonString(text) + afterText
    }
    if (event.type !== 'done') return ''
    const finish = `${beforeText}"","index":0,"finish_reason":${jsonString(event.reason)}}${tail}`
    const usage = options.includeUsage ? `data: ${head}],${names},"usage":${usageJson(event.usage)}}\n\n` : ''
    return finish + usage + endOfStream
  }
  return { contentType: sse, event, failure }
}

/** A whole text completion. */
export function completionJson(model: string, answer: WholeAnswer): string {
  const choice =
    `{"text":${jsonString(answer.text)},"index":0,"finish_reason":${jsonString(answer.done.reason)}` +
    `${logprobsMember(answer.logprobs)}}`
  return (
    `{"id":"${answerId('cmpl')}","object":"text_completion","created":${nowSeconds()},` +
    `"model":${jsonString(model)},"system_fingerprint":"fp_ollama","choices":[${choice}],` +
    `"usage":${usageJson(answer.done.usage)}}`
  )
}

/** A tool call takes the place of `stop`; `length` and the others stay. */
function finishReason(done: DoneEvent, calledTool: boolean): string {
  return calledTool && done.reason === 'stop' ? 'tool_calls' : done.reason
}

function usageJson({ promptTokens, outputTokens }: Usage): string {
  const total = promptTokens + outputTokens
  return `{"prompt_tokens":${promptTokens},"completion_tokens":${outputTokens},"total_tokens":${total}}`
}

/** Arguments travel as a string of JSON. */
function toolCallJson({ id = '', function: called }: ToolCall): string {
  const args = jsonString(jsonValue(called.arguments))
  const target = `{"name":${jsonString(called.name)},"arguments":${args}}`
  return `{"id":${jsonString(id)},"index":${called.index},"type":"function","function":${target}}`
}

function logprobsMember(logprobs: Logprob[] | undefined): string {
  return logprobs?.length ? `,"logprobs":{"content":${logprobsJson(logprobs)}}` : ''
}
