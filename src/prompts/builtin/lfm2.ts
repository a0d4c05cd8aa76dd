import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { beginsPythonCall, readPythonCalls, untilPythonEnd } from './python-calls.ts'
import { orderedParameters, spacedJson } from './rendering.ts'
import { beginsWith, createSectionParser, untilMarker } from './sections.ts'

/** Liquid's LFM2: ChatML with a list of tools in the system's turn, and calls written as Python. */

const callsOpen = '<|tool_call_start|>'
const callsClose = '<|tool_call_end|>'

/** The special tokens that the parser must see. */
export const lfm2PreservedTokens = [callsOpen, callsClose]

/** Renders a conversation. A last assistant message stays open, to be continued. */
export function renderLfm2({ messages, tools, think }: PromptTurn): string {
  const keepsThoughts = think !== undefined && think !== false
  const system = messages[0]?.role === 'system' ? messages[0].content : ''
  const turns = messages[0]?.role === 'system' ? messages.slice(1) : messages
  const preamble = [system, toolList(tools)].filter((part) => part !== '').join('\n')
  const lastAnswer = turns.findLastIndex(({ role }) => role === 'assistant')
  const rendered = turns.map((message, index) => {
    let { content } = message
    if (message.role === 'assistant') {
      if (!keepsThoughts && index !== lastAnswer) content = withoutThought(content)
      if (keepsThoughts && message.thinking) content = `<think>${message.thinking}</think>${content}`
      if (message.tool_calls?.length && !content.includes(callsOpen)) content = callsOf(message) + content
    }
    if (message.role === 'tool' && !content.includes('<|tool_response_start|>')) {
      content = `<|tool_response_start|>${content}<|tool_response_end|>`
    }
    const isOpen = message.role === 'assistant' && index === turns.length - 1
    return `<|im_start|>${message.role}\n${content}${isOpen ? '' : '<|im_end|>\n'}`
  })
  const opening = turns.at(-1)?.role === 'assistant' ? '' : '<|im_start|>assistant\n'
  const first = preamble === '' ? '' : `<|im_start|>system\n${preamble}<|im_end|>\n`
  return `<|startoftext|>${first}${rendered.join('')}${opening}`
}

function toolList(tools: readonly Tool[]): string {
  if (tools.length === 0) return ''
  const functions = tools.map(({ function: { name, description, parameters } }) =>
    spacedJson({ name, ...(description && { description }), parameters: orderedParameters(parameters) }),
  )
  return `List of tools: <|tool_list_start|>[${functions.join(', ')}]<|tool_list_end|>`
}

function callsOf({ tool_calls = [] }: Message): string {
  const written = tool_calls.map(({ function: { name, arguments: args } }) => {
    const entries = Object.entries(args).sort(([a], [b]) => (a < b ? -1 : 1))
    return `${name}(${entries.map(([key, value]) => `${key}=${spacedJson(value)}`).join(',')})`
  })
  return `${callsOpen}[${written.join(',')}]${callsClose}`
}

function withoutThought(content: string): string {
  const end = content.lastIndexOf('</think>')
  return end < 0 ? content : content.slice(end + '</think>'.length).trim()
}

/**
 * Parses the output. The thinking models begin with `<think>`; where thinking was not asked for (`thinks` false),
 * or the model does none, the tag stays in the text. Calls of known tools count without their markers where the
 * answer begins with them.
 */
export function createLfm2Parser(tools: readonly Tool[], thinks: boolean): OutputParser {
  const names = new Set(tools.map(({ function: { name } }) => name))
  const bareCalls = { begins: (text: string) => beginsPythonCall(text, names), next: 'bareCalls' } as const
  const thinking = { begins: beginsWith('<think>'), next: 'thinking' } as const
  const markers = [[callsOpen, 'calls']] as const
  const read = { as: 'calls', read: readPythonCalls, next: 'behind', unread: 'content' } as const
  return createSectionParser(
    {
      start: { as: 'token', trim: 'end', unless: thinks ? [thinking, bareCalls] : [bareCalls], markers },
      content: { as: 'token', trim: 'end', markers },
      thinking: { as: 'thinking', trim: 'both', leading: ['<think>'], markers: [['</think>', 'answer']] },
      answer: { as: 'token', trim: 'both', unless: [bareCalls], markers },
      calls: { ...read, search: untilMarker(callsClose) },
      bareCalls: { ...read, search: untilPythonEnd },
      behind: { as: 'token', trim: 'both', leading: [callsClose], markers },
    },
    'start',
  )
}
