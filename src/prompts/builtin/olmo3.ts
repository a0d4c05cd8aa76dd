import type { Message } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { readPythonCalls } from './python-calls.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { createSectionParser, untilMarker } from './sections.ts'

/** Olmo 3: ChatML with functions in the system's turn, and calls written as Python. */

const defaultSystem = {
  olmo3: 'You are a helpful function-calling AI assistant. ',
  'olmo3.1':
    'You are Olmo, a helpful AI assistant built by Ai2. Your date cutoff is December 2024, and your model weights ' +
    'are available at https://huggingface.co/allenai. ',
}

const defaultThinkSystem = {
  'olmo3-think': defaultSystem['olmo3.1'].trim(),
  'olmo3-32b-think': 'You are a helpful AI assistant.',
}

const withFunctions =
  'You are provided with function signatures within <functions></functions> XML tags. You may call one or more ' +
  'functions to assist with the user query. Output any function calls within <function_calls></function_calls> XML ' +
  'tags. Do not make assumptions about what values to plug into functions.'
const withoutFunctions = 'You do not currently have access to any functions. <functions></functions>'

/** Renders a conversation for the instruct models. A last assistant text stays open, to be continued. */
export function renderOlmo3(
  { messages, tools }: PromptTurn,
  variant: keyof typeof defaultSystem = 'olmo3',
): string {
  const system = messages.find(({ role }) => role === 'system')
  const turns = messages.filter(({ role }) => role !== 'system')
  const functions = tools.length > 0 ? `<functions>${spacedJson(tools.map(orderedTool))}</functions>` : ''
  const preamble =
    system !== undefined
      ? system.content + functions
      : defaultSystem[variant] + (functions === '' ? withoutFunctions : withFunctions + functions)
  const last = turns.at(-1)
  const isOpen = last?.role === 'assistant' && !last.tool_calls?.length
  const rendered = turns.map((message) => {
    if (message.role === 'user') return turn('user', message.content)
    if (message.role === 'tool') return turn('environment', message.content)
    if (message === last && isOpen) return `<|im_start|>assistant\n${message.content}`
    return turn('assistant', message.content + callsOf(message))
  })
  return turn('system', preamble) + rendered.join('') + (isOpen ? '' : '<|im_start|>assistant\n')
}

/** Renders a conversation for the thinking models, which know no functions. Thinking is open at its end. */
export function renderOlmo3Think(
  { messages }: PromptTurn,
  variant: keyof typeof defaultThinkSystem = 'olmo3-think',
): string {
  const system = messages.find(({ role }) => role === 'system')
  const preamble =
    system === undefined ? defaultThinkSystem[variant] : `${system.content} ${withoutFunctions}`
  const rendered = messages
    .filter(({ role }) => role === 'user' || role === 'assistant')
    .map(({ role, content }) => turn(role, content))
  return `${turn('system', preamble)}${rendered.join('')}<|im_start|>assistant\n<think>`
}

function turn(role: string, content: string): string {
  return `<|im_start|>${role}\n${content}<|im_end|>\n`
}

function callsOf({ tool_calls = [] }: Message): string {
  if (tool_calls.length === 0) return ''
  const lines = tool_calls.map(({ function: { name, arguments: args } }) => {
    const entries = Object.entries(args).sort(([a], [b]) => (a < b ? -1 : 1))
    return `${name}(${entries.map(([key, value]) => `${key}=${JSON.stringify(value)}`).join(', ')})`
  })
  return `<function_calls>${lines.join('\n')}</function_calls>`
}

/** Parses the output of the instruct models. */
export function createOlmo3Parser(): OutputParser {
  return createSectionParser(
    {
      content: { as: 'token', markers: [['<function_calls>', 'calls']] },
      calls: {
        as: 'calls',
        search: untilMarker('</function_calls>'),
        read: readPythonCalls,
        next: 'content',
        unread: 'content',
      },
    },
    'content',
  )
}

/** Parses the output of the thinking models. */
export function createOlmo3ThinkParser(prompt: string): OutputParser {
  return createSectionParser(
    {
      thinking: { as: 'thinking', trim: 'end', leading: ['<think>'], markers: [['</think>', 'answer']] },
      answer: { as: 'token', trim: 'start', markers: [] },
      content: { as: 'token', markers: [] },
    },
    prompt.endsWith('<think>') ? 'thinking' : 'content',
  )
}
