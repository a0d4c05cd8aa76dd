import type { Message, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { leadingSpace } from '../text.ts'
import { beginsJsonCall } from './json-calls.ts'
import { orderedTool, spacedJson } from './rendering.ts'
import { createSectionParser, untilJsonEnd, untilMarker } from './sections.ts'
import { readArgumentTags } from './tagged-calls.ts'

/** Poolside's Laguna, in the two forms of its published template: `laguna` by lines, `poolside-v1` without them. */

const bos = '〈|EOS|〉'
const defaultSystem =
  'You are a helpful, conversationally-fluent assistant made by Poolside. You are here to be helpful to users ' +
  'through natural language conversations.'
const offer =
  '### Tools\n\nYou may call functions to assist with the user query.\n' +
  'All available function signatures are listed below:\n<available_tools>\n'

/** The special tokens that the parser must see. */
export const lagunaPreservedTokens = [
  '<think>',
  '</think>',
  '<tool_call>',
  '</tool_call>',
  '<user>',
  '</user>',
  '<arg_key>',
  '</arg_key>',
  '<arg_value>',
  '</arg_value>',
]

/** Renders a conversation; thinking is off unless asked for. A last assistant message stays open. */
export function renderLaguna({ messages, tools, think }: PromptTurn): string {
  const thinks = think !== undefined && think !== false
  const { system, turns } = splitSystem(messages)
  const header: string[] = []
  if (system.trim() !== '') header.push(`\n${system.trimEnd()}`)
  if (tools.length > 0)
    header.push(`\n\n${offer}${toolLines(tools)}</available_tools>\n\n${callInstructions(thinks)}`)
  const rendered = turns.map((message, index) => {
    if (message.role === 'tool') return block('tool_response', message.content)
    if (message.role !== 'assistant') return block(message.role, message.content)
    const { thought, answer } = splitThought(message)
    const isOpen = index === turns.length - 1 && Boolean(thought || answer || message.tool_calls?.length)
    const body = [
      thought && `<think>\n${thought}\n`,
      '</think>\n',
      answer && `${answer}\n`,
      callsOf(message, '\n'),
    ]
    return `<assistant>\n${body.join('')}${isOpen ? '' : '</assistant>\n'}`
  })
  const first = header.length > 0 ? `<system>\n${header.join('')}\n</system>\n` : ''
  const opening = turns.at(-1)?.role === 'assistant' ? '' : `<assistant>\n${thinks ? '<think>' : '</think>'}`
  return bos + first + rendered.join('') + opening
}

/** Renders a conversation; thinking is off unless asked for. A last assistant message is closed. */
export function renderPoolside({ messages, tools, think }: PromptTurn): string {
  const thinks = think !== undefined && think !== false
  const { system, turns } = splitSystem(messages)
  const listed = tools.length > 0 ? `${offer}${toolLines(tools)}</available_tools>` : ''
  const header = [system.trimEnd(), listed].filter((part) => part !== '').join('\n\n')
  const rendered = turns.map((message) => {
    if (message.role === 'tool') return `<tool_response>${message.content}</tool_response>\n`
    if (message.role !== 'assistant') return `<${message.role}>${message.content}</${message.role}>\n`
    const thought = thinks ? `<think>${message.thinking ?? ''}` : ''
    return `<assistant>${thought}</think>${message.content}${callsOf(message, '')}</assistant>\n`
  })
  const first = header !== '' || thinks ? `<system>${header}</system>\n` : ''
  return `${bos}${first}${rendered.join('')}<assistant>${thinks ? '<think>' : '</think>'}`
}

function splitSystem(messages: readonly Message[]): { system: string; turns: readonly Message[] } {
  const [first, ...rest] = messages
  return first?.role === 'system'
    ? { system: first.content, turns: rest }
    : { system: defaultSystem, turns: messages }
}

function block(name: string, content: string): string {
  return `<${name}>\n${content}\n</${name}>\n`
}

function toolLines(tools: readonly Tool[]): string {
  return tools.map((tool) => `${spacedJson(orderedTool(tool))}\n`).join('')
}

function callInstructions(thinks: boolean): string {
  const form =
    "return an unescaped XML-like object with function name and arguments within '<tool_call>' and '</tool_call>' " +
    'tags, like here:\n'
  const example =
    '<tool_call>function-name\n<arg_key>argument-key</arg_key>\n<arg_value>value-of-argument-key</arg_value>\n</tool_call>'
  return thinks
    ? "Wrap your thinking in '<think>', '</think>' tags, followed by a function call. For each function call, " +
        `${form}<think> your thoughts here </think>\n${example}`
    : `For each function call, ${form}${example}`
}

/** An answer's thought, its own or the one that clients left in its text, and the rest. */
function splitThought({ content, thinking = '' }: Message): { thought: string; answer: string } {
  const end = content.indexOf('</think>')
  if (end < 0) return { thought: thinking.trim(), answer: content.trim() }
  const before = content.slice(0, end)
  const open = before.lastIndexOf('<think>')
  const inText = open < 0 ? before : before.slice(open + '<think>'.length)
  const answer = content.slice(content.lastIndexOf('</think>') + '</think>'.length)
  return { thought: (thinking || inText).trim(), answer: answer.trim() }
}

function callsOf({ tool_calls = [] }: Message, line: string): string {
  return tool_calls
    .map(({ function: { name, arguments: args } }) => {
      const pairs = Object.entries(args).map(([key, value]) => {
        const text = typeof value === 'string' ? value : spacedJson(value)
        return `<arg_key>${key}</arg_key>${line}<arg_value>${text}</arg_value>${line}`
      })
      return `<tool_call>${name}${line}${pairs.join('')}</tool_call>${line}`
    })
    .join('')
}

/** What the models call the tools of other coding agents. */
const aliases: Record<string, string> = {
  read_file: 'read',
  write_file: 'write',
  edit_file: 'edit',
  web_fetch: 'webfetch',
}

/**
 * Parses the output. Thinking may be open at the prompt's end; where it was not asked for (`thinks` false) it is
 * dropped. Calls of known tools count in `<user>` tags too, and as bare JSON at a text's beginning.
 */
export function createLagunaParser(prompt: string, tools: readonly Tool[], thinks: boolean): OutputParser {
  const names = new Set(tools.map(({ function: { name } }) => name))
  const resolve = (name: string) => {
    const alias = aliases[name]
    return !names.has(name) && alias !== undefined && names.has(alias) ? alias : name
  }
  const read = (body: string) => readArgumentTags(body.replaceAll('<tool_call>', ''), tools, resolve)
  const readKnown = (body: string) => {
    const calls = read(body)
    return calls?.every(({ name }) => names.has(name)) ? calls : undefined
  }
  const markers = [
    ['<think>', 'thinking'],
    ['<tool_call>', 'call'],
    ...(tools.length > 0 ? ([['<user>', 'userCall']] as const) : []),
  ] as const
  const bareJson = (text: string) => {
    const start = text.slice(leadingSpace(text))
    if (names.size === 0) return false
    return start.startsWith('{') ? beginsJsonCall(start) : start === '' ? undefined : false
  }
  return createSectionParser(
    {
      content: {
        as: 'token',
        trim: 'both',
        leading: ['</think>'],
        unless: [{ begins: bareJson, next: 'json' }],
        markers,
      },
      text: { as: 'token', trim: 'end', markers },
      thinking: {
        as: thinks ? 'thinking' : 'none',
        trim: 'both',
        leading: ['<think>'],
        markers: [
          ['</think>', 'content'],
          ['<tool_call>', 'call'],
        ],
      },
      call: { as: 'calls', search: untilMarker('</tool_call>'), read, next: 'content', unread: 'text' },
      userCall: {
        as: 'calls',
        search: untilMarker('</user>'),
        read: readKnown,
        next: 'content',
        unread: 'text',
      },
      json: { as: 'calls', search: untilJsonEnd, read: readKnown, next: 'content', unread: 'text' },
    },
    prompt.endsWith('<think>') ? 'thinking' : 'content',
  )
}
