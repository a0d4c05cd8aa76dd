import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { createGlmOcrParser, glmOcrPreservedTokens, glmToolOffer } from './glm-ocr.ts'
import { createSectionParser, thoughtSection, untilMarker } from './sections.ts'
import { readArgumentTags } from './tagged-calls.ts'

/** GLM 4.6 and 4.7: roles without line ends, thinking open at the prompt's end. */

/** The special tokens that the parser must see. */
export const glm4PreservedTokens = glmOcrPreservedTokens

/** Renders a conversation; thinking is on unless told otherwise. */
export function renderGlm4({ messages, tools, think }: PromptTurn): string {
  const first = tools.length > 0 ? `<|system|>\n${glmToolOffer(tools)}` : ''
  const lastQuestion = messages.findLastIndex(({ role }) => role === 'user')
  const rendered = messages.map((message, index) => {
    if (message.role === 'assistant') return answer(message, index > lastQuestion)
    if (message.role === 'tool') {
      const opening = messages[index - 1]?.role === 'tool' ? '' : '<|observation|>'
      return `${opening}<tool_response>${message.content}</tool_response>`
    }
    return `<|${message.role}|>${message.content}`
  })
  return `[gMASK]<sop>${first}${rendered.join('')}<|assistant|>${think === false ? '</think>' : '<think>'}`
}

function answer({ content, thinking = '', tool_calls = [] }: Message, isCurrent: boolean): string {
  const thought = isCurrent && thinking.trim() !== '' ? `<think>${thinking.trim()}</think>` : '</think>'
  const calls = tool_calls.map(({ function: { name, arguments: args } }) => {
    const pairs = Object.entries(args).map(([key, value]) => {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      return `<arg_key>${key}</arg_key><arg_value>${text}</arg_value>`
    })
    return `<tool_call>${name}${pairs.join('')}</tool_call>`
  })
  return `<|assistant|>${thought}${content.trim()}${calls.join('')}`
}

/** Parses the output; a thought may be open at the prompt's end. */
export function createGlm4Parser(prompt: string, tools: readonly Tool[]): OutputParser {
  if (!prompt.trimEnd().endsWith('<think>')) return createGlmOcrParser(tools)
  const markers = [['<tool_call>', 'call']] as const
  return createSectionParser(
    {
      thinking: thoughtSection('answer', ['<tool_call>', 'call']),
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
    'thinking',
  )
}
