import type { Tool } from '../../inference/index.ts'
import { DecodeError, decodeValue, goQuote } from '../go-json/index.ts'
import { toolParameters } from '../tools.ts'
import { refuse } from './content.ts'
import type { AnthropicTool, CountTokensBody } from './requests.ts'

/** Whether a tool is Anthropic's own web search, whose versions have a date in their type. */
const isWebSearch = ({ type = '' }: AnthropicTool) => type.startsWith('web_search')

/** Whether the request offers the web search that the server is to run. */
export const offersWebSearch = (tools: AnthropicTool[] = []) => tools.some(isWebSearch)

const webSearch: Tool = {
  type: 'function',
  function: {
    name: 'web_search',
    description:
      'Search the web for current information. Use this to find up-to-date information about any topic.',
    parameters: {
      type: 'object',
      required: ['query'],
      properties: {
        query: { type: 'string', description: 'The search query to look up on the web' },
      },
    },
  },
}

/**
 * The tools to offer. `tool_choice` narrows them: `none` offers none, `tool` only the one it names; nothing can make
 * a model call one, so `any` is as `auto`. Throws `invalid_request`.
 */
export function toTools({ tools = [], tool_choice: choice }: CountTokensBody): Tool[] {
  const serverSearches = offersWebSearch(tools)
  const own = tools.filter((tool) => !isWebSearch(tool) && !(serverSearches && tool.name === 'web_search'))
  const offered = [...(serverSearches ? [webSearch] : []), ...own.map(toTool)]
  if (choice?.type === 'none') return []
  if (choice?.type !== 'tool') return offered
  const chosen = offered.filter((tool) => tool.function.name === choice.name)
  if (chosen.length === 0) {
    throw refuse(`tool_choice: tool ${goQuote(choice.name ?? '')} is not among the tools of this request`)
  }
  return chosen
}

function toTool({ name = '', description, input_schema: schema }: AnthropicTool): Tool {
  return {
    type: 'function',
    function: {
      name,
      ...(description && { description }),
      parameters: { type: '', ...toParameters(name, schema) },
    },
  }
}

function toParameters(name: string, schema: unknown): Partial<Tool['function']['parameters']> | undefined {
  if (schema === undefined) return undefined
  try {
    return decodeValue(toolParameters, schema)
  } catch (thrown) {
    if (!(thrown instanceof DecodeError)) throw thrown
    throw refuse(`invalid input_schema for tool ${goQuote(name)}: ${thrown.message}`)
  }
}
