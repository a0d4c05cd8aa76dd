import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { createSectionParser, thoughtSection, untilMarker } from './sections.ts'
import { readFunctionTags } from './tagged-calls.ts'
import { taggedCalls, taggedOffer } from './tagged-tools.ts'

/** NVIDIA's Nemotron 3 Nano and 3.5 Nano: ChatML, tools in tags, thinking open at the prompt's end. */

/** The special tokens that the parser must see. */
export const nemotronPreservedTokens = ['<think>', '</think>', '<tool_call>', '</tool_call>']

export type NemotronVariant = 'nemotron-3-nano' | 'nemotron-3.5-nano'

/** Renders a conversation; thinking is on unless told otherwise. A last assistant message is closed. */
export function renderNemotron(
  { messages, tools, think }: PromptTurn,
  variant: NemotronVariant = 'nemotron-3-nano',
): string {
  const toggles = variant === 'nemotron-3-nano'
  const system = messages[0]?.role === 'system' ? messages[0].content : ''
  const turns = messages[0]?.role === 'system' ? messages.slice(1) : messages
  const preamble = toggles ? withoutToggles(system) : system
  const offered = tools.length > 0 ? `${preamble && '\n\n'}${taggedOffer(tools)}` : ''
  const lastUser = turns.findLastIndex(({ role }) => role === 'user')
  const rendered = turns.map((message, index) => {
    if (message.role === 'assistant') {
      const text = history(message, index < lastUser, variant)
      return `<|im_start|>assistant\n${text}${taggedCalls(message)}<|im_end|>\n`
    }
    if (message.role === 'tool') {
      const opening = index > 0 && turns[index - 1]?.role !== 'tool' ? '<|im_start|>user\n' : ''
      const closing = turns[index + 1]?.role === 'tool' ? '' : '<|im_end|>\n'
      return `${opening}<tool_response>\n${message.content}\n</tool_response>\n${closing}`
    }
    const effort =
      !toggles && index === lastUser && think === 'medium' ? '\n\n{reasoning effort: efficient}' : ''
    const content = toggles ? withoutToggles(message.content).trim() : message.content
    return `<|im_start|>${message.role}\n${content}${effort}<|im_end|>\n`
  })
  const thinks = toggles ? toggled(messages, think !== false) : think !== false
  const opening = `<|im_start|>assistant\n${thinks ? '<think>\n' : '<think></think>'}`
  return `<|im_start|>system\n${preamble}${offered}<|im_end|>\n${rendered.join('')}${opening}`
}

/** `/think` and `/no_think` in what a person writes: the last one counts. */
function toggled(messages: readonly Message[], thinks: boolean): boolean {
  return messages
    .filter(({ role }) => role === 'user' || role === 'system')
    .reduce((before, { content }) => {
      if (content.replaceAll('</think>', '').includes('/think')) return true
      return content.includes('/no_think') ? false : before
    }, thinks)
}

function withoutToggles(text: string): string {
  return text.replace(/<\/think>|\/think|\/no_think/g, (found) => (found === '</think>' ? found : ''))
}

/** An earlier answer; those before the last question lose their thoughts, but not the place of them. */
function history(
  { content, thinking, tool_calls }: Message,
  isPast: boolean,
  variant: NemotronVariant,
): string {
  const isFirst = variant === 'nemotron-3-nano'
  let text = /<\/?think>/.test(content) ? content : `<think></think>${content}`
  if (thinking?.trim()) text = `<think>\n${thinking}${isFirst ? '\n</think>\n' : '</think>'}${content}`
  const end = text.lastIndexOf('</think>')
  const answer = end < 0 ? text : text.slice(end + '</think>'.length)
  if (!tool_calls?.length)
    return (isPast && end >= 0 && text.includes('<think>') ? `<think></think>${answer}` : text).trim()
  if (!isPast) return `${text.trim()}\n`
  const kept = end < 0 ? (text.split('<think>')[0] ?? '') : answer
  return `<think></think>${isFirst ? kept.trim() : kept}\n`
}

/** Parses the output. Thinking may be open at the prompt's end; a call ends it too. */
export function createNemotronParser(prompt: string, tools: readonly Tool[]): OutputParser {
  const markers = [
    ['<tool_call>', 'call'],
    ['<function=', 'bareCall'],
  ] as const
  const read = (body: string) => readFunctionTags(body, tools)
  return createSectionParser(
    {
      thinking: thoughtSection('answer', ['<tool_call>', 'call']),
      content: { as: 'token', trim: 'end', markers },
      answer: { as: 'token', trim: 'both', markers },
      call: { as: 'calls', search: untilMarker('</tool_call>'), read, next: 'answer', unread: 'content' },
      bareCall: {
        as: 'calls',
        search: untilMarker('</function>'),
        read: (body) => read(`<function=${body}`),
        next: 'behindBare',
        unread: 'content',
      },
      behindBare: { as: 'token', trim: 'both', leading: ['</tool_call>'], markers },
    },
    prompt.trimEnd().endsWith('<think>') ? 'thinking' : 'content',
  )
}
