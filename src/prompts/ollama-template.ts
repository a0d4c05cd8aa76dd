import { DroverError, type Message } from '../inference/index.ts'
import type { PromptTemplate, PromptTurn, TemplateCapabilities } from './contract.ts'
import {
  execute,
  type GoTemplate,
  type GoValue,
  type Node,
  ollamaFunctions,
  parseTemplate,
  TemplateError,
} from './go-template/index.ts'
import { messageValues, thinkValues, toolValues } from './ollama-values.ts'
import { cutAfterResponse, inferThinkTags, inferToolTag, mentionedNames } from './template-tree.ts'

/** `{{ .Response }}`, which every template gets that names neither it nor the messages. */
const responseNode: Node = {
  type: 'action',
  pos: 0,
  pipe: {
    type: 'pipe',
    pos: 0,
    variables: [],
    isAssignment: false,
    commands: [{ type: 'command', pos: 0, operands: [{ type: 'field', pos: 0, path: ['Response'] }] }],
  },
}

/**
 * Compiles a Go template as Ollama's `template.Parse` does. `now` dates `currentDate`. Throws `DroverError`
 * `invalid_template` with Go's own text.
 */
export function compileGoTemplate(source: string, now: () => Date = () => new Date()): PromptTemplate {
  const functions = ollamaFunctions(now)
  const { template, names } = parseForOllama(source, functions)
  const thinkTags = inferThinkTags(template.root)
  const capabilities = goCapabilities(source, names, thinkTags !== undefined)
  const run = (data: GoValue, root = template.root) => {
    try {
      return execute({ ...template, root }, data, functions)
    } catch (error) {
      throw asRenderError(error)
    }
  }
  const beforeResponse = cutAfterResponse(template.root)
  return {
    language: 'go',
    source,
    capabilities,
    ...(thinkTags && { thinkTags }),
    ...(capabilities.tools && { toolTag: inferToolTag(template.root) }),
    render: (turn) =>
      names.has('messages') ? run(conversation(turn)) : renderLegacy(turn, run, beforeResponse),
    renderInsert: (prompt, suffix) => {
      if (!capabilities.insert) throw noInsert()
      return run({ Prompt: prompt, Suffix: suffix, Response: '', ...thinkValues(undefined) })
    },
  }
}

/** The complaint about a template that has no place for a suffix. */
export function noInsert(): DroverError {
  return new DroverError('unsupported', 'the template has no place for a suffix (insert)')
}

function parseForOllama(source: string, functions: ReturnType<typeof ollamaFunctions>) {
  try {
    const template = parseTemplate(source, functions)
    const lists = [...template.templates.values()]
    if (lists.some(hasBareTemplate)) throw new TemplateError('undefined template specified')
    const names = new Set(lists.flatMap((nodes) => [...mentionedNames(nodes)]))
    if (names.has('messages') || names.has('response')) return { template, names }
    return { template: { ...template, root: [...template.root, responseNode] } satisfies GoTemplate, names }
  } catch (error) {
    if (!(error instanceof TemplateError)) throw error
    throw new DroverError('invalid_template', error.message, { cause: error })
  }
}

/** Ollama refuses `{{ template "name" }}` without a value. */
function hasBareTemplate(nodes: readonly Node[]): boolean {
  return nodes.some(
    (node) =>
      (node.type === 'template' && node.pipe === undefined) ||
      ('list' in node && (hasBareTemplate(node.list) || hasBareTemplate(node.elseList ?? []))),
  )
}

function asRenderError(error: unknown): unknown {
  if (!(error instanceof TemplateError)) return error
  return new DroverError('invalid_request', error.message, { cause: error })
}

function goCapabilities(source: string, names: Set<string>, thinking: boolean): TemplateCapabilities {
  const tools = names.has('tools')
  const showsReplies = ['eq .Role "tool"', 'tool_response', 'TOOL_RESULTS'].some((sign) =>
    source.includes(sign),
  )
  return {
    tools,
    toolRoundTrip: tools && names.has('toolcalls') && showsReplies,
    thinking,
    insert: names.has('suffix'),
  }
}

function systemOf(messages: readonly Message[]): string {
  return messages
    .filter(({ role }) => role === 'system')
    .map(({ content }) => content)
    .join('\n\n')
}

/** Joins neighbours of one role, but for the replies of tools: each of those has its own name and call. */
function collate(messages: readonly Message[]): Message[] {
  const collated: Message[] = []
  for (const message of messages) {
    const last = collated.at(-1)
    if (last === undefined || last.role !== message.role || message.role === 'tool') collated.push(message)
    else collated[collated.length - 1] = { ...last, content: `${last.content}\n\n${message.content}` }
  }
  return collated
}

function conversation({ messages, tools, think }: PromptTurn): GoValue {
  return {
    System: systemOf(messages),
    Messages: messageValues(collate(messages)),
    Tools: toolValues(tools),
    Response: '',
    ...thinkValues(think),
  }
}

/**
 * Templates from before `.Messages`: rendered once for each exchange, the last time only up to where the model's
 * response goes.
 */
function renderLegacy(
  { messages, think }: PromptTurn,
  run: (data: GoValue, root?: readonly Node[]) => string,
  beforeResponse: readonly Node[],
): string {
  const thinking = thinkValues(think)
  let text = ''
  let exchange = { System: '', Prompt: '', Response: '' }
  const flush = (root?: readonly Node[]) => {
    text += run({ ...exchange, ...thinking }, root)
    exchange = { System: '', Prompt: '', Response: '' }
  }
  for (const { role, content } of collate(messages)) {
    if (role === 'system') {
      if (exchange.Prompt !== '' || exchange.Response !== '') flush()
      exchange.System = content
    } else if (role === 'user') {
      if (exchange.Response !== '') flush()
      exchange.Prompt = content
    } else if (role === 'assistant') exchange.Response = content
  }
  flush(beforeResponse)
  return text
}
