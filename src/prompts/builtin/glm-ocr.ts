import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { beginsWith, createSectionParser, untilMarker } from './sections.ts'
import { readArgumentTags } from './tagged-calls.ts'

/** GLM-OCR: GLM's turns, which reads images and seldom thinks. */

/** The special tokens that the parser must see. */
export const glmOcrPreservedTokens = ['<think>', '</think>', '<tool_call>', '</tool_call>']

const offer = `# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
`
const instructions = `</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{function-name}<arg_key>{arg-key-1}</arg_key><arg_value>{arg-value-1}</arg_value><arg_key>{arg-key-2}</arg_key><arg_value>{arg-value-2}</arg_value>...</tool_call>`

/** Renders a conversation. A last assistant message is followed by a new one. */
export function renderGlmOcr({ messages, tools, think }: PromptTurn): string {
  const silent = think === false
  const first = tools.length > 0 ? `<|system|>\n${glmToolOffer(tools)}` : ''
  const rendered = messages.map((message, index) => {
    if (message.role === 'system') return `<|system|>\n${message.content}\n`
    if (message.role === 'assistant') return renderAnswer(message)
    if (message.role === 'tool') {
      const opening = messages[index - 1]?.role === 'tool' ? '' : '<|observation|>'
      return `${opening}\n<tool_response>\n${message.content}\n</tool_response>\n`
    }
    const toggle = silent && !message.content.endsWith('/nothink') ? '/nothink' : ''
    return `<|user|>\n${message.content}${toggle}`
  })
  return `[gMASK]<sop>${first}${rendered.join('')}<|assistant|>\n${silent ? '<think></think>\n' : ''}`
}

/** The tools that are offered, and how to call them. */
export function glmToolOffer(tools: readonly Tool[]): string {
  return `${offer}${tools.map((tool) => `${spacedJson(orderedTool(tool))}\n`).join('')}${instructions}`
}

function renderAnswer({ content, thinking = '', tool_calls = [] }: Message): string {
  const calls = tool_calls.map(({ function: { name, arguments: args } }) => {
    const pairs = Object.entries(args).map(([key, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      return `<arg_key>${key}</arg_key><arg_value>${text}</arg_value>`
    })
    return `\n<tool_call>${name}${pairs.join('')}</tool_call>`
  })
  const answer = content === '' ? '' : `\n${content.trim()}`
  return `<|assistant|>\n<think>${thinking.trim()}</think>${answer}${calls.join('')}\n`
}

/** Parses the output: a thought counts at its beginning only. */
export function createGlmOcrParser(tools: readonly Tool[]): OutputParser {
  const markers = [['<tool_call>', 'call']] as const
  return createSectionParser(
    {
      start: {
        as: 'token',
        trim: 'end',
        unless: [{ begins: beginsWith('<think>'), next: 'thinking' }],
        markers,
      },
      thinking: { as: 'thinking', trim: 'both', leading: ['<think>'], markers: [['</think>', 'answer']] },
      answer: { as: 'token', trim: 'both', markers },
      text: { as: 'token', trim: 'end', markers },
      call: {
        as: 'calls',
        search: untilMarker('</tool_call>'),
        read: (body) => readArgumentTags(body, tools),
        next: 'answer',
        unread: 'text',
      },
    },
    'start',
  )
}
