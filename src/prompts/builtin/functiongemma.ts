import type { Message, ToolProperty } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { gemmaCallEnd, gemmaDeclaration, gemmaValue, readGemmaCall } from './gemma4-notation.ts'
import { typesOf } from './rendering.ts'
import { createSectionParser } from './sections.ts'

/** FunctionGemma: Gemma 3's turns, tools in the developer's, and calls in Gemma's notation of values. */

const quote = '<escape>'
const callOpen = '<start_function_call>'
const callClose = '<end_function_call>'
const instructions = 'You can do function calling with the following functions:'

/** The special tokens that the parser must see. */
export const functionGemmaPreservedTokens = [callOpen, callClose, quote]

/** Renders a conversation. A last assistant message is closed, as its template does. */
export function renderFunctionGemma({ messages, tools }: PromptTurn): string {
  const system = messages[0]?.role === 'system' ? messages[0].content.trim() : ''
  const turns = messages[0]?.role === 'system' ? messages.slice(1) : messages
  let prompt = ''
  if (system !== '' || tools.length > 0) {
    const declared = tools.map(
      (tool) =>
        `<start_function_declaration>${gemmaDeclaration(tool, quote, property)}<end_function_declaration>`,
    )
    // A client that gives the instructions itself gets them once, with the line end that follows its own.
    const added = tools.length > 0 ? `${system && '\n'}${system === instructions ? '' : instructions}` : ''
    prompt = `<start_of_turn>developer\n${system}${added}${declared.join('')}<end_of_turn>\n`
  }
  turns.forEach((message, index) => {
    const previous = turns[index - 1]?.role
    const next = turns[index + 1]?.role
    if (message.role === 'tool') {
      const isFirst = previous !== 'assistant' || !turns[index - 1]?.tool_calls?.length
      const opening = isFirst ? '<start_function_response>' : ''
      const value = gemmaValue(message.content, quote)
      prompt += `${opening}response:${replyName(turns, index)}{${value}}<end_function_response>`
      return
    }
    const role = message.role === 'assistant' ? 'model' : message.role
    prompt += previous === 'tool' ? '' : `<start_of_turn>${role}\n`
    const calls = (message.tool_calls ?? []).map(
      ({ function: { name, arguments: args } }) =>
        `${callOpen}call:${name}${gemmaValue(args, quote)}${callClose}`,
    )
    const waits = calls.length > 0 && next === 'tool'
    prompt +=
      message.content.trim() + calls.join('') + (waits ? '<start_function_response>' : '<end_of_turn>\n')
  })
  return turns.at(-1)?.role === 'tool' ? prompt : `${prompt}<start_of_turn>model\n`
}

/** A reply names the function it answers: by id, else by the order of calls and replies. */
function replyName(turns: readonly Message[], index: number): string {
  const asked = turns.slice(0, index).findLastIndex(({ tool_calls }) => tool_calls?.length)
  const calls = turns[asked]?.tool_calls ?? []
  const { tool_call_id: id, tool_name: name = '' } = turns[index] as Message
  const call = (id ? calls.find((made) => made.id === id) : undefined) ?? calls[index - asked - 1]
  return call?.function.name ?? name
}

function property(schema: ToolProperty): string {
  const type = typesOf(schema)[0]
  const typed = type === undefined ? '' : `,type:${gemmaValue(type.toUpperCase(), quote)}`
  return `{description:${gemmaValue(schema.description ?? '', quote)}${typed}}`
}

/** Parses the output. */
export function createFunctionGemmaParser(): OutputParser {
  const markers = [[callOpen, 'call']] as const
  return createSectionParser(
    {
      content: { as: 'token', markers },
      call: {
        as: 'calls',
        search: gemmaCallEnd(quote, callClose),
        read: (body) => {
          const call = readGemmaCall(body, quote)
          return call && [call]
        },
        next: 'behind',
        unread: 'content',
      },
      behind: { as: 'token', leading: [callClose, '<start_function_response>'], markers },
    },
    'content',
  )
}
