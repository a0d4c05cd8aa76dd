import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { toolTurn } from './qwen3.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { createSectionParser, untilMarker } from './sections.ts'
import { readFunctionTags } from './tagged-calls.ts'
import { taggedCallInstructions, taggedCalls, taggedOffer } from './tagged-tools.ts'

/** Qwen 3 Coder, and Qwen 3.5 which calls tools in the same tags: ChatML. */

const coder = 'You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks.'

/** Renders a conversation for Qwen 3 Coder. A last assistant text stays open. */
export function renderQwen3Coder({ messages, tools }: PromptTurn): string {
  const { system, turns } = split(messages)
  const preamble = system ?? (tools.length > 0 ? coder : undefined)
  const offered = tools.length > 0 ? `\n\n${taggedOffer(tools)}` : ''
  const first = preamble === undefined ? '' : `<|im_start|>system\n${preamble}${offered}<|im_end|>\n`
  return first + conversation(turns, () => '') + opening(turns, '')
}

/** Renders a conversation for Qwen 3.5; thinking is on unless told otherwise. */
export function renderQwen35({ messages, tools, think }: PromptTurn): string {
  const { system, turns } = split(messages)
  const listed = tools.map((tool) => `\n${spacedJson(orderedTool(tool))}`).join('')
  const offer = `# Tools\n\nYou have access to the following functions:\n\n<tools>${listed}\n</tools>${taggedCallInstructions}`
  const preamble = tools.length > 0 ? offer + (system ? `\n\n${system}` : '') : system
  const first = preamble === undefined ? '' : `<|im_start|>system\n${preamble}<|im_end|>\n`
  const lastQuestion = turns.findLastIndex(({ role }) => role === 'user')
  const thought = ({ thinking = '' }: Message, index: number) =>
    index > lastQuestion ? `<think>\n${thinking.trim()}\n</think>\n\n` : ''
  return (
    first +
    conversation(turns, thought) +
    opening(turns, think === false ? '<think>\n\n</think>\n\n' : '<think>\n')
  )
}

function split(messages: readonly Message[]): { system: string | undefined; turns: readonly Message[] } {
  const [first, ...rest] = messages
  return first?.role === 'system'
    ? { system: first.content.trim(), turns: rest }
    : { system: undefined, turns: messages }
}

/** Every turn; `thought` gives what stands before an earlier answer. */
function conversation(
  turns: readonly Message[],
  thought: (message: Message, index: number) => string,
): string {
  return turns
    .map((message, index) => {
      if (message.role === 'tool') return toolTurn(message, turns[index - 1], turns[index + 1])
      if (message.role !== 'assistant') return `<|im_start|>${message.role}\n${message.content}<|im_end|>\n`
      const text = `<|im_start|>assistant\n${thought(message, index)}${message.content.trim()}`
      const calls = taggedCalls(message).trimEnd()
      if (calls !== '') return `${text}${message.content.trim() ? '\n\n' : ''}${calls}<|im_end|>\n`
      return index === turns.length - 1 ? text : `${text}<|im_end|>\n`
    })
    .join('')
}

function opening(turns: readonly Message[], thought: string): string {
  const last = turns.at(-1)
  const isOpen = last?.role === 'assistant' && !last.tool_calls?.length
  return isOpen ? '' : `<|im_start|>assistant\n${thought}`
}

/** Parses the output of Qwen 3 Coder, which does not think. */
export function createQwen3CoderParser(tools: readonly Tool[]): OutputParser {
  const markers = [
    ['<tool_call>', 'call'],
    ['<function=', 'bareCall'],
  ] as const
  return createSectionParser(
    {
      content: { as: 'token', trim: 'end', markers },
      answer: { as: 'token', trim: 'both', markers },
      call: {
        as: 'calls',
        search: untilMarker('</tool_call>'),
        read: (body) => readFunctionTags(body, tools),
        next: 'answer',
        unread: 'content',
      },
      // Some answers leave the outer tag out.
      bareCall: {
        as: 'calls',
        search: untilMarker('</function>'),
        read: (body) => readFunctionTags(`<function=${body}`, tools),
        next: 'behindBare',
        unread: 'content',
      },
      behindBare: { as: 'token', trim: 'both', leading: ['</tool_call>'], markers },
    },
    'content',
  )
}
