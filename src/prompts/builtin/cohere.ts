import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { orderedParameters, spacedJson } from './rendering.ts'
import {
  createSectionParser,
  type FoundCall,
  isRecord,
  parseObject,
  untilJsonEnd,
  untilMarker,
} from './sections.ts'

/**
 * Cohere's Command A and North models: turns of marked blocks, thinking, text and actions. By the chat template
 * published with North; its odd white space is the template's.
 */

/** The special tokens that the parser must see. */
export const coherePreservedTokens = [
  '<|START_THINKING|>',
  '<|END_THINKING|>',
  '<|START_TEXT|>',
  '<|END_TEXT|>',
  '<|START_RESPONSE|>',
  '<|END_RESPONSE|>',
  '<|START_ACTION|>',
  '<|END_ACTION|>',
  '<|END_OF_TURN_TOKEN|>',
]

const openThinking = '<|START_THINKING|>'

/** Renders a conversation; thinking is on unless told otherwise. A last assistant text stays open. */
export function renderCohere({ messages, tools, think }: PromptTurn): string {
  const system = messages[0]?.role === 'system' ? messages[0].content : ''
  const turns = messages[0]?.role === 'system' ? messages.slice(1) : messages
  const numbers = numberCalls(turns)
  const rendered = turns.map((message, index) => {
    if (message.role === 'user') return turn('USER', text(message.content))
    if (message.role === 'system') return turn('SYSTEM', text(message.content))
    if (message.role === 'assistant') return renderAnswer(message, numbers, index === turns.length - 1)
    return renderReply(message, numbers, turns[index - 1]?.role === 'tool', turns[index + 1]?.role === 'tool')
  })
  const platform = turn('SYSTEM', text(`${system === '' ? '' : `${system}\n\n\n\n`}${toolSection(tools)}`))
  const last = turns.at(-1)
  const isOpen = last?.role === 'assistant' && !last.tool_calls?.length
  const thought = think === false ? `${openThinking}<|END_THINKING|>` : openThinking
  const opening = isOpen ? '' : `<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>${thought}`
  return platform + rendered.join('') + opening
}

function turn(role: string, content: string): string {
  return `<|START_OF_TURN_TOKEN|><|${role}_TOKEN|>${content}<|END_OF_TURN_TOKEN|>`
}

function text(content: string): string {
  return `<|START_TEXT|>${content}<|END_TEXT|>`
}

function toolSection(tools: readonly Tool[]): string {
  const entries = tools.map(({ function: { name, description = '', parameters } }) => {
    const json = spacedJson({ name, description, parameters: orderedParameters(parameters), responses: null })
    return `\n    ${json}`
  })
  return `# Available Tools\n\`\`\`json\n[\n${entries.join(',\n\n')}\n\n\n]\n\`\`\``
}

/** Calls are numbered through the conversation, whatever ids the client gave them. */
function numberCalls(turns: readonly Message[]): { ofCall: Map<object, number>; ofId: Map<string, number> } {
  const ofCall = new Map<object, number>()
  const ofId = new Map<string, number>()
  for (const call of turns.flatMap(({ tool_calls = [] }) => tool_calls)) {
    if (call.id && !ofId.has(call.id)) ofId.set(call.id, ofCall.size)
    ofCall.set(call, ofCall.size)
  }
  return { ofCall, ofId }
}

function renderAnswer(message: Message, { ofCall }: ReturnType<typeof numberCalls>, isLast: boolean): string {
  const thought = message.thinking ? `${openThinking}${message.thinking}<|END_THINKING|>` : ''
  if (message.tool_calls?.length) {
    const entries = message.tool_calls.map((call) => {
      const { name, arguments: args } = call.function
      return `\n\n    ${spacedJson({ tool_call_id: String(ofCall.get(call)), tool_name: name, parameters: args })}`
    })
    const action = `<|START_ACTION|>[${entries.join(',')}\n\n]<|END_ACTION|>`
    return turn('CHATBOT', `\n            \n                ${thought}${action}`)
  }
  if (isLast) return `<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>${thought}<|START_TEXT|>${message.content}`
  return turn('CHATBOT', thought + text(message.content))
}

/** One tool's reply; neighbours share a turn. */
function renderReply(
  { tool_call_id = '', content }: Message,
  { ofId }: ReturnType<typeof numberCalls>,
  follows: boolean,
  isFollowed: boolean,
): string {
  const before = follows ? ',' : '<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|><|START_TOOL_RESULT|>['
  const id = JSON.stringify(String(ofId.get(tool_call_id) ?? tool_call_id))
  const results = `{\n\n            \n            "0": ${spacedJson({ content })}\n\n        }`
  const reply = `\n    {\n        "tool_call_id": ${id},\n        "results": ${results},\n        "is_error": null\n    }`
  return before + reply + (isFollowed ? '' : '\n\n]<|END_TOOL_RESULT|><|END_OF_TURN_TOKEN|>')
}

/** Parses the output, which begins within the block that the prompt has opened. */
export function createCohereParser(prompt: string): OutputParser {
  const opening = [
    [openThinking, 'thinking'],
    ['<|START_TEXT|>', 'text'],
    ['<|START_RESPONSE|>', 'text'],
    ['<|START_ACTION|>', 'action'],
  ] as const
  const closing = [
    ['<|END_TEXT|>', 'between'],
    ['<|END_RESPONSE|>', 'between'],
    ['<|END_OF_TURN_TOKEN|>', 'between'],
  ] as const
  return createSectionParser(
    {
      thinking: {
        as: 'thinking',
        trim: 'end',
        leading: [openThinking],
        markers: [['<|END_THINKING|>', 'between'], ...opening.slice(1)],
      },
      text: { as: 'token', markers: [...closing, ...opening] },
      between: { as: 'token', trim: 'both', markers: [...closing, ...opening] },
      action: {
        as: 'calls',
        search: untilMarker('<|END_ACTION|>'),
        read: readActions,
        next: 'between',
        unread: 'text',
      },
    },
    startOf(prompt),
  )
}

function startOf(prompt: string): 'thinking' | 'between' | 'text' {
  if (prompt.endsWith(openThinking)) return 'thinking'
  return /<\|(END_THINKING|CHATBOT_TOKEN)\|>$/.test(prompt) ? 'between' : 'text'
}

/**
 * The calls of a list such as `[{"tool_call_id": "0", "tool_name": "f", "parameters": {}}]`. Each is read by
 * itself: one that is no JSON, or a comma that is missing, costs no other call.
 */
function readActions(body: string): FoundCall[] | undefined {
  const calls: FoundCall[] = []
  for (let at = body.indexOf('{'); at >= 0; at = body.indexOf('{', at)) {
    const rest = body.slice(at)
    const end = untilJsonEnd()(rest)
    if (end === undefined) break
    const call = readAction(parseObject(rest.slice(0, end.body)))
    if (call !== undefined) calls.push(call)
    at += end.body
  }
  return calls.length > 0 ? calls : undefined
}

function readAction(action: Record<string, unknown> | undefined): FoundCall | undefined {
  const name = action?.tool_name ?? action?.name
  const args = action?.parameters ?? action?.arguments ?? {}
  return typeof name === 'string' && isRecord(args) ? { name, args } : undefined
}
