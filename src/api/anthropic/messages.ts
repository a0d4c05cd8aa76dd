import type { Message, Role, ToolCall } from '../../inference/index.ts'
import { jsonValue } from '../go-json/index.ts'
import { addBlock, blocksOf, type Parts, partsOf, refuse, word } from './content.ts'
import type { AnthropicMessage, ContentBlock } from './requests.ts'

/** The conversation in the canonical form, the system's text first. Throws `invalid_request`. */
export function toMessages(system: unknown, messages: AnthropicMessage[]): Message[] {
  const converted: Message[] = []
  const systemText = textOf(system)
  if (systemText !== '') converted.push({ role: 'system', content: systemText })
  const toolNames = new Map<string, string>()
  for (const [index, message] of messages.entries()) {
    converted.push(...toTurn(message, index, toolNames))
  }
  return converted
}

/** A system prompt: a text, or the texts of blocks one after the other. */
function textOf(system: unknown): string {
  if (typeof system === 'string') return word(system)
  const texts = blocksOf(system).filter((block) => block.type === 'text')
  return texts.map(({ text }) => word(text)).join('')
}

/**
 * The messages that one turn becomes: what the assistant or the user says is one, each tool's result one of its
 * own, before the user's words and after the assistant's. `toolNames` learns and gives the names of calls by id.
 */
function toTurn(message: AnthropicMessage, index: number, toolNames: Map<string, string>): Message[] {
  const { content } = message
  if (content === undefined) throw refuse(`messages.${index}.content: Field required`)
  const role = (message.role ?? '').toLowerCase() as Role
  const parts: Parts = { text: '', images: [] }
  const calls: ToolCall[] = []
  const results: Message[] = []
  let thinking = ''
  for (const block of content) {
    if (block.type === 'tool_use' || block.type === 'server_tool_use') {
      const call = toToolCall(block, calls.length)
      toolNames.set(call.id ?? '', call.function.name)
      calls.push(call)
    } else if (block.type === 'tool_result' || block.type === 'web_search_tool_result') {
      results.push(toResult(block, toolNames))
    } else if (block.type === 'thinking') {
      thinking += block.thinking ?? ''
    } else {
      addBlock(parts, block, 'invalid image source')
    }
  }
  const { text, images } = parts
  const said: Message = {
    role,
    content: text,
    ...(thinking !== '' && { thinking }),
    ...(images.length > 0 && { images }),
    ...(calls.length > 0 && { tool_calls: calls }),
  }
  const silent = text === '' && thinking === '' && images.length === 0 && calls.length === 0
  if (silent) return results
  return role === 'user' ? [...results, said] : [said, ...results]
}

function toToolCall({ type, id = '', name = '', input = {} }: ContentBlock, index: number): ToolCall {
  if (type === 'tool_use') {
    if (id === '') throw refuse("tool_use block missing required 'id' field")
    if (name === '') throw refuse("tool_use block missing required 'name' field")
  }
  return { ...(id !== '' && { id }), function: { index, name, arguments: input } }
}

function toResult(block: ContentBlock, toolNames: ReadonlyMap<string, string>): Message {
  const { type, tool_use_id: id = '', is_error: isError = false } = block
  const { text, images } =
    type === 'tool_result'
      ? partsOf(block.content, 'invalid tool_result image source')
      : { text: searchResults(block.content), images: [] }
  const name = toolNames.get(id)
  return {
    role: 'tool',
    content: isError ? asError(text) : text,
    ...(images.length > 0 && { images }),
    ...(name && { tool_name: name }),
    ...(id !== '' && { tool_call_id: id }),
  }
}

/** No template has a place for "this failed", so the words must say it. */
function asError(text: string): string {
  if (/^\W*error/i.test(text)) return text
  return text === '' ? 'Error' : `Error: ${text}`
}

/** The results of an earlier web search, one line each, or what went wrong with it. */
function searchResults(content: unknown): string {
  if (typeof content === 'string') return word(content)
  if (!Array.isArray(content)) return searchError(content) ?? jsonValue(content ?? null)
  let lines = ''
  for (const item of blocksOf(content)) {
    const error = searchError(item)
    if (error !== undefined) return error
    if (item.type === 'web_search_result') lines += `- ${word(item.title)}: ${word(item.url)}\n`
  }
  return lines
}

function searchError(value: unknown): string | undefined {
  const [block] = blocksOf([value])
  if (block?.type !== 'web_search_tool_result_error') return undefined
  const code = word(block.error_code)
  return code === '' ? 'web_search_tool_result_error' : `web_search_tool_result_error: ${code}`
}
