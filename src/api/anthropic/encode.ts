import { randomHex } from '../../core/index.ts'
import type { DoneEvent, DroverError, InferenceEvent, ToolCall, Usage } from '../../inference/index.ts'
import type { EventEncoder, WholeAnswer } from '../answer.ts'
import { jsonString, jsonValue } from '../go-json/index.ts'

/** `msg_`, `req_` and so on with 24 hexadecimal digits. */
export const newId = (prefix: 'msg' | 'req') => `${prefix}_${randomHex(12)}`

const errorTypes = new Map([
  [400, 'invalid_request_error'],
  [401, 'authentication_error'],
  [403, 'permission_error'],
  [404, 'not_found_error'],
  [413, 'request_too_large'],
  [429, 'rate_limit_error'],
  [503, 'overloaded_error'],
])

/** Anthropic's error envelope. */
export function errorJson(error: DroverError, requestId: string): string {
  const type = errorTypes.get(error.status) ?? 'api_error'
  return (
    `{"type":"error","error":{"type":"${type}","message":${jsonString(error.message)}},` +
    `"request_id":${jsonString(requestId)}}`
  )
}

/** What an answer says about itself. */
export interface MessageFacts {
  id: string
  requestId: string
  /** As the client named it. */
  model: string
  /** The texts that the client wants the answer to end at; the model's own are not told. */
  stopSequences: string[]
  /** The web search is Drover's to run, which it cannot: no request leaves the machine. */
  searches: boolean
}

type BlockType = 'text' | 'thinking'

// The signature is empty, not absent: clients check for it before they keep a block of thinking.
const emptyBlocks: Record<BlockType, string> = {
  text: '{"type":"text","text":""}',
  thinking: '{"type":"thinking","thinking":"","signature":""}',
}

const sse = (type: string, rest: string) => `event: ${type}\ndata: {"type":"${type}"${rest}}\n\n`
const blockStart = (index: number, block: string) =>
  sse('content_block_start', `,"index":${index},"content_block":${block}`)
const blockStop = (index: number) => sse('content_block_stop', `,"index":${index}`)
const usageJson = ({ promptTokens, outputTokens }: Pick<Usage, 'promptTokens' | 'outputTokens'>) =>
  `{"input_tokens":${promptTokens},"output_tokens":${outputTokens}}`

/**
 * Writes the events of one answer. Text, thinking and calls become blocks in the order they come; a block ends where
 * another kind begins. `inputTokens` is what the first event says of the prompt; the last one has the true number.
 */
export function createMessageEncoder(facts: MessageFacts, inputTokens: number): EventEncoder {
  let started = false
  let open: BlockType | undefined
  let index = 0
  let calledTool = false
  // A delta is the hottest text of this dialect: everything around the words is made once for a block.
  let beforeText = ''

  const start = () => {
    if (started) return ''
    started = true
    const usage = usageJson({ promptTokens: inputTokens, outputTokens: 0 })
    return sse(
      'message_start',
      `,"message":${messageHead(facts)}"content":[],${stopJson(null, null)},"usage":${usage}}`,
    )
  }
  const close = () => {
    if (open === undefined) return ''
    open = undefined
    return blockStop(index++)
  }
  const speak = (type: BlockType, text: string) => {
    if (text === '') return ''
    if (open === type) return `${beforeText}${jsonString(text)}}}\n\n`
    const before = start() + close()
    open = type
    const delta = `"delta":{"type":"${type}_delta","${type}":`
    beforeText = `event: content_block_delta\ndata: {"type":"content_block_delta","index":${index},${delta}`
    return `${before}${blockStart(index, emptyBlocks[type])}${beforeText}${jsonString(text)}}}\n\n`
  }
  const call = (made: ToolCall) => {
    const before = start() + close()
    if (isOurs(facts, made)) return before + search(made)
    calledTool = true
    return before + callBlock('tool_use', made.id ?? '', made)
  }
  const callBlock = (type: string, id: string, { function: called }: ToolCall) => {
    const block = `{"type":"${type}","id":${jsonString(id)},"name":${jsonString(called.name)},"input":{}}`
    const delta = `{"type":"input_json_delta","partial_json":${jsonString(jsonValue(called.arguments))}}`
    return (
      blockStart(index, block) +
      sse('content_block_delta', `,"index":${index},"delta":${delta}`) +
      blockStop(index++)
    )
  }
  const search = (made: ToolCall) => {
    const id = searchId(facts, index)
    return callBlock('server_tool_use', id, made) + blockStart(index, failedSearch(id)) + blockStop(index++)
  }
  const end = (done: DoneEvent) => {
    const [reason, sequence] = stopOf(facts, done, calledTool)
    return (
      start() +
      close() +
      sse('message_delta', `,"delta":{${stopJson(reason, sequence)}},"usage":${usageJson(done.usage)}`) +
      sse('message_stop', '')
    )
  }
  return {
    contentType: 'text/event-stream',
    event(event: InferenceEvent) {
      if (event.type === 'token') return speak('text', event.text)
      if (event.type === 'thinking') return speak('thinking', event.text)
      return event.type === 'toolCall' ? call(event.call) : end(event)
    },
    failure: (error) => `event: error\ndata: ${errorJson(error, facts.requestId)}\n\n`,
    keepAlive: sse('ping', ''),
  }
}

/** A whole answer. */
export function messageJson(facts: MessageFacts, { thinking, text, toolCalls, done }: WholeAnswer): string {
  const blocks: string[] = []
  if (thinking !== '') blocks.push(`{"type":"thinking","thinking":${jsonString(thinking)},"signature":""}`)
  if (text !== '') blocks.push(`{"type":"text","text":${jsonString(text)}}`)
  for (const made of toolCalls) {
    const ours = isOurs(facts, made)
    const id = ours ? searchId(facts, blocks.length) : (made.id ?? '')
    blocks.push(
      `{"type":"${ours ? 'server_tool_use' : 'tool_use'}","id":${jsonString(id)},` +
        `"name":${jsonString(made.function.name)},"input":${jsonValue(made.function.arguments)}}`,
    )
    if (ours) blocks.push(failedSearch(id))
  }
  const calledTool = toolCalls.some((made) => !isOurs(facts, made))
  const [reason, sequence] = stopOf(facts, done, calledTool)
  const stop = stopJson(reason, sequence)
  return `${messageHead(facts)}"content":[${blocks.join(',')}],${stop},"usage":${usageJson(done.usage)}}`
}

const messageHead = ({ id, model }: MessageFacts) =>
  `{"id":"${id}","type":"message","role":"assistant","model":${jsonString(model)},`

const stopJson = (reason: string | null, sequence: string | null) =>
  `"stop_reason":${jsonValue(reason)},"stop_sequence":${jsonValue(sequence)}`

function stopOf(
  { stopSequences }: MessageFacts,
  { reason, stopSequence }: DoneEvent,
  calledTool: boolean,
): [string, string | null] {
  if (calledTool) return ['tool_use', null]
  if (reason === 'length') return ['max_tokens', null]
  if (stopSequence === undefined || !stopSequences.includes(stopSequence)) return ['end_turn', null]
  return ['stop_sequence', stopSequence]
}

const isOurs = ({ searches }: MessageFacts, call: ToolCall) => searches && call.function.name === 'web_search'

const searchId = ({ id }: MessageFacts, index: number) => `srvtoolu_${id.slice('msg_'.length)}_${index}`

const failedSearch = (id: string) =>
  `{"type":"web_search_tool_result","tool_use_id":"${id}",` +
  '"content":{"type":"web_search_tool_result_error","error_code":"unavailable"}}'
