import type { DoneEvent, DroverError, InferenceEvent, ToolCall } from '../../inference/index.ts'
import type { EventEncoder, WholeAnswer } from '../answer.ts'
import { jsonString, jsonValue, nanoseconds, rfc3339NanoNow } from '../go-json/index.ts'
import { logprobsJson } from '../logprobs.ts'

/** What goes between the members that both endpoints share. Key order is that of Ollama's structs. */
interface AnswerShape {
  /** The members of a piece of the answer, after `created_at` and before `done`. */
  content(text: string, thinking: string, toolCalls: string): string
  /** The members after `done` and its reason. */
  ending(done: DoneEvent | undefined, toolCalls: string, logprobs: string): string
}

const member = (name: string, json: string) => (json === '' ? '' : `,"${name}":${json}`)
const textMember = (name: string, text: string) => (text === '' ? '' : `,"${name}":${jsonString(text)}`)
const numberMember = (name: string, value: number) => (value === 0 ? '' : `,"${name}":${value}`)

const generateShape: AnswerShape = {
  content: (text, thinking) => `,"response":${jsonString(text)}${textMember('thinking', thinking)}`,
  ending: (done, toolCalls, logprobs) =>
    (done?.context?.length ? `,"context":[${done.context.join(',')}]` : '') +
    metrics(done) +
    member('tool_calls', toolCalls) +
    member('logprobs', logprobs),
}

const chatShape: AnswerShape = {
  content: (text, thinking, toolCalls) =>
    `,"message":{"role":"assistant","content":${jsonString(text)}` +
    `${textMember('thinking', thinking)}${member('tool_calls', toolCalls)}}`,
  ending: (done, _toolCalls, logprobs) => member('logprobs', logprobs) + metrics(done),
}

const shapes = { generate: generateShape, chat: chatShape }

type AnswerKind = keyof typeof shapes

/** The media type of pieces, one JSON object a line. */
const ndjson = 'application/x-ndjson'

/** Writes the events of one answer as lines of JSON. */
export function createLineEncoder(kind: AnswerKind, model: string): EventEncoder {
  const shape = shapes[kind]
  const head = `{"model":${jsonString(model)},"created_at":"`
  // A token's line is the hottest text of the server: everything around the text is made once.
  const [beforeText, afterText] = tokenFrame(shape)
  return {
    contentType: ndjson,
    event: (event) => {
      if (event.type === 'token' && event.logprobs === undefined) {
        return event.text === ''
          ? ''
          : head + rfc3339NanoNow() + beforeText + jsonString(event.text) + afterText
      }
      return isSilent(event) ? '' : `${head}${rfc3339NanoNow()}"${piece(shape, event)}}\n`
    },
    failure: errorLine,
  }
}

/** The text before and after a token's JSON string, from the date's closing quote to the line's end. */
function tokenFrame(shape: AnswerShape): [string, string] {
  const empty = `"${shape.content('', '', '')},"done":false}\n`
  const at = empty.lastIndexOf('""')
  return [empty.slice(0, at), empty.slice(at + 2)]
}

const isSilent = (event: InferenceEvent) =>
  (event.type === 'token' || event.type === 'thinking') && event.text === '' && !event.logprobs?.length

function piece(shape: AnswerShape, event: InferenceEvent): string {
  if (event.type === 'done') return `${shape.content('', '', '')}${finished(shape, event, '', '')}`
  const text = event.type === 'token' ? event.text : ''
  const thinking = event.type === 'thinking' ? event.text : ''
  const toolCalls = event.type === 'toolCall' ? toolCallsJson([event.call]) : ''
  const logprobs = event.logprobs?.length ? logprobsJson(event.logprobs) : ''
  return `${shape.content(text, thinking, toolCalls)},"done":false${shape.ending(undefined, toolCalls, logprobs)}`
}

function finished(shape: AnswerShape, done: DoneEvent, toolCalls: string, logprobs: string): string {
  return `,"done":true,"done_reason":"${done.reason}"${shape.ending(done, toolCalls, logprobs)}`
}

/** A whole answer as one JSON object. */
export function wholeAnswerJson(kind: AnswerKind, model: string, answer: WholeAnswer): string {
  const shape = shapes[kind]
  const toolCalls = toolCallsJson(answer.toolCalls)
  const head = `{"model":${jsonString(model)},"created_at":"${rfc3339NanoNow()}"`
  const content = shape.content(answer.text, answer.thinking, toolCalls)
  const logprobs = answer.logprobs.length > 0 ? logprobsJson(answer.logprobs) : ''
  return `${head}${content}${finished(shape, answer.done, toolCalls, logprobs)}}`
}

/** The reply to a request that only loads or unloads a model: no numbers, never streamed. */
export function lifecycleJson(kind: AnswerKind, model: string, reason: DoneEvent['reason']): string {
  const head = `{"model":${jsonString(model)},"created_at":"${rfc3339NanoNow()}"`
  return `${head}${shapes[kind].content('', '', '')},"done":true,"done_reason":"${reason}"}`
}

/** The reply to `_debug_render_only`: the prompt that would have been sent. */
export function renderedJson(
  kind: AnswerKind,
  model: string,
  rendered: { prompt: string; imageCount: number },
): string {
  const head = `{"model":${jsonString(model)},"created_at":"${rfc3339NanoNow()}"`
  const content = kind === 'chat' ? ',"message":{"role":"","content":""}' : ',"response":""'
  const info = `{"rendered_template":${jsonString(rendered.prompt)}${numberMember('image_count', rendered.imageCount)}}`
  return `${head}${content},"done":false,"_debug_info":${info}}`
}

/** Ollama's error envelope. */
export function errorJson(error: DroverError): string {
  return `{"error":${jsonString(error.message)}}`
}

const errorLine = (error: DroverError) => `${errorJson(error)}\n`

/** Go leaves out every number that is zero. */
function metrics(done: DoneEvent | undefined): string {
  if (!done) return ''
  const { usage } = done
  return (
    numberMember('total_duration', nanoseconds(done.totalMs)) +
    numberMember('load_duration', nanoseconds(done.loadMs)) +
    numberMember('prompt_eval_count', usage.promptTokens) +
    numberMember('prompt_eval_duration', nanoseconds(usage.promptMs)) +
    numberMember('eval_count', usage.outputTokens) +
    numberMember('eval_duration', nanoseconds(usage.outputMs))
  )
}

function toolCallsJson(calls: ToolCall[]): string {
  return calls.length === 0 ? '' : `[${calls.map(toolCallJson).join(',')}]`
}

function toolCallJson({ id, function: called }: ToolCall): string {
  const { index, name, arguments: args } = called
  const identity = id ? `"id":${jsonString(id)},` : ''
  return `{${identity}"function":{"index":${index},"name":${jsonString(name)},"arguments":${jsonValue(args)}}}`
}
