import { Template } from '@huggingface/jinja'
import { DroverError, type Message, type Think, type ToolCall } from '../inference/index.ts'
import type { PromptTemplate, PromptTurn, TemplateCapabilities } from './contract.ts'
import { noInsert } from './ollama-template.ts'

export interface JinjaTemplateOptions {
  bosToken?: string
  eosToken?: string
}

/** Tags around thinking that models are known to write, likeliest first. */
const thinkTagPairs = [
  ['<think>', '</think>'],
  ['[THINK]', '[/THINK]'],
  ['<|START_THINKING|>', '<|END_THINKING|>'],
  ['<thinking>', '</thinking>'],
  ['<reasoning>', '</reasoning>'],
  ['<seed:think>', '</seed:think>'],
  ['<|channel>thought', '<channel|>'],
] as const

/** Texts that begin a tool call, likeliest first; models of templates with none of them write bare JSON. */
const toolTags = [
  '<tool_call>',
  '[TOOL_CALLS]',
  '<|tool_call|>',
  '<|tool_call>',
  '<|tool_call_start|>',
  '<｜tool▁calls▁begin｜>',
  '<|tool_calls_section_begin|>',
  '<|START_ACTION|>',
  '<start_function_call>',
  '<function_calls>',
  '<function_call>',
  '<|python_tag|>',
]

/**
 * Compiles a Hugging Face chat template. `render` gives it `messages`, `tools`, `add_generation_prompt`,
 * `bos_token`, `eos_token`, and what was said about thinking as `enable_thinking`, `thinking` and
 * `reasoning_effort`. `strftime_now` is the library's and reads the machine's clock. Throws `DroverError`
 * `unsupported` where the library cannot read the template.
 */
export function compileJinjaTemplate(source: string, options: JinjaTemplateOptions = {}): PromptTemplate {
  const { bosToken = '', eosToken = '' } = options
  const template = parseJinja(source)
  const capabilities = jinjaCapabilities(source)
  const thinkTags = jinjaThinkTags(source)
  const renderWith = (turn: PromptTurn, encode: EncodeArguments) =>
    template.render({
      messages: turn.messages.map((message) => jinjaMessage(message, encode)),
      // Absent tools are None, as in `transformers`: templates ask `tools is not none`.
      tools: turn.tools.length > 0 ? turn.tools : null,
      add_generation_prompt: true,
      bos_token: bosToken,
      eos_token: eosToken,
      ...thinkVariables(turn.think, source),
    })
  let encode: EncodeArguments | undefined
  return {
    language: 'jinja',
    source,
    capabilities,
    ...(thinkTags && { thinkTags }),
    ...(capabilities.tools && { toolTag: toolTags.find((tag) => source.includes(tag)) ?? '{' }),
    render: (turn) => {
      if (turn.messages.some(({ tool_calls }) => tool_calls?.length)) {
        encode ??= findArgumentsEncoding(renderWith)
      }
      try {
        return renderWith(turn, encode ?? asObject)
      } catch (error) {
        throw new DroverError('invalid_request', messageOf(error), { cause: error })
      }
    },
    renderInsert: () => {
      throw noInsert()
    },
  }
}

/**
 * What a chat template shows of itself, by the signs that Ollama looks for.
 */
export function jinjaCapabilities(source: string): TemplateCapabilities {
  const mentions = (...texts: string[]) => texts.some((text) => source.includes(text))
  const tools = mentions('tools', 'tool_call')
  const calls = mentions('tool_calls', 'assistant_tool_call')
  const replies =
    mentions('tool_response', 'tool_results', 'ipython') ||
    /role(?:['"]\] == |(?<=message\.role) == )['"]tool['"]/.test(source)
  return {
    tools,
    toolRoundTrip: tools && calls && replies,
    thinking: jinjaThinkTags(source) !== undefined,
    insert: false,
  }
}

function jinjaThinkTags(source: string): { open: string; close: string } | undefined {
  const pair = thinkTagPairs.find((tags) => tags.every((tag) => source.includes(tag)))
  if (pair !== undefined) return { open: pair[0], close: pair[1] }
  // Some templates only take earlier thinking out of an answer; their models think all the same.
  const stripsThinking = /content\.split\((['"])<\/think>\1\)/.test(source)
  const otherwise = source.includes('reasoning_content') || source.includes('<SPECIAL_12>')
  return stripsThinking && !otherwise ? { open: '<think>', close: '</think>' } : undefined
}

function parseJinja(source: string): Template {
  try {
    return new Template(source)
  } catch (error) {
    throw new DroverError('unsupported', `the model's chat template cannot be read: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

type EncodeArguments = (call: ToolCall) => unknown
const asObject: EncodeArguments = (call) => call.function.arguments
const asText: EncodeArguments = (call) => JSON.stringify(call.function.arguments)

const probeTurn: PromptTurn = {
  messages: [
    { role: 'user', content: 'question' },
    {
      role: 'assistant',
      content: '',
      tool_calls: [
        { id: 'call00000', function: { index: 0, name: 'probe', arguments: { probeKey: 'probeValue' } } },
      ],
    },
  ],
  tools: [],
}

/** Templates want a call's arguments as an object, as the API has them; a few only take them as JSON text. */
function findArgumentsEncoding(
  renderWith: (turn: PromptTurn, encode: EncodeArguments) => string,
): EncodeArguments {
  const shows = (encode: EncodeArguments) => {
    try {
      const text = renderWith(probeTurn, encode)
      return text.includes('probeValue') && !text.includes('[object Map]')
    } catch {
      return false
    }
  }
  return !shows(asObject) && shows(asText) ? asText : asObject
}

function jinjaMessage(message: Message, encode: EncodeArguments): Record<string, unknown> {
  return {
    role: message.role,
    content: message.content ?? '',
    ...(message.thinking && { reasoning_content: message.thinking, thinking: message.thinking }),
    ...(message.tool_calls?.length && {
      tool_calls: message.tool_calls.map((call) => ({
        id: call.id ?? '',
        type: 'function',
        function: { name: call.function.name, arguments: encode(call) },
      })),
    }),
    ...(message.tool_name && { name: message.tool_name }),
    ...(message.tool_call_id && { tool_call_id: message.tool_call_id }),
  }
}

function thinkVariables(think: Think | undefined, source: string): Record<string, unknown> {
  if (think === undefined) return {}
  const on = think !== false
  if (typeof think === 'boolean') return { enable_thinking: on, thinking: on }
  // Harmony knows no level above high.
  const effort = think === 'max' && source.includes('<|channel|>') ? 'high' : think
  return { enable_thinking: on, thinking: on, reasoning_effort: effort }
}
