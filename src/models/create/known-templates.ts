import type { Message } from '../../inference/index.ts'
import { compileTemplate, type PromptTemplate } from '../../prompts/index.ts'
import type { ModelFile } from '../contract.ts'

/** A format that many models share, as a Go template, and the texts that end an answer in it. */
export interface KnownTemplate {
  name: string
  template: string
  stop: string[]
}

/** Turns that begin with a role between marks, which is how most formats are. */
const turns = (before: string, behind: string, end: string) =>
  `{{- range .Messages }}${before}{{ .Role }}${behind}{{ .Content }}${end}{{ end }}${before}assistant${behind}`

const known: readonly KnownTemplate[] = [
  {
    name: 'chatml',
    template: turns('<|im_start|>', '\n', '<|im_end|>\n'),
    stop: ['<|im_start|>', '<|im_end|>'],
  },
  {
    name: 'llama3-instruct',
    template: turns('<|start_header_id|>', '<|end_header_id|>\n\n', '<|eot_id|>'),
    stop: ['<|start_header_id|>', '<|end_header_id|>', '<|eot_id|>'],
  },
  {
    name: 'gemma-instruct',
    template:
      '{{- range .Messages }}<start_of_turn>{{ if eq .Role "assistant" }}model{{ else }}user{{ end }}\n' +
      '{{ .Content }}<end_of_turn>\n{{ end }}<start_of_turn>model\n',
    stop: ['<start_of_turn>', '<end_of_turn>'],
  },
  {
    name: 'phi-3',
    template: turns('<|', '|>\n', '<|end|>\n'),
    stop: ['<|end|>', '<|system|>', '<|user|>', '<|assistant|>'],
  },
  {
    name: 'zephyr',
    template: turns('<|', '|>\n', '</s>\n'),
    stop: ['<|system|>', '<|user|>', '<|assistant|>', '</s>'],
  },
  {
    name: 'mistral-instruct',
    template:
      '{{- range .Messages }}{{ if eq .Role "assistant" }} {{ .Content }}</s>{{ else }}[INST] {{ .Content }} [/INST]' +
      '{{ end }}{{ end }}',
    stop: ['[INST]', '[/INST]'],
  },
]

const say = (role: Message['role'], content: string): Message => ({ role, content })
const short = [say('user', 'One.')]
const long = [say('user', 'One.'), say('assistant', 'Two.'), say('user', 'Three.')]

/**
 * The known format of a model's own chat template: the one that renders conversations as that does, text for text.
 * Undefined where none does, or where the template can do more (tools, thinking): it stays in force then. Ollama
 * compares the templates' sources instead, with those of a list.
 */
export function detectTemplate({ chatTemplate, bosToken, eosToken }: ModelFile): KnownTemplate | undefined {
  if (!chatTemplate) return undefined
  const tokens = { ...(bosToken !== undefined && { bosToken }), ...(eosToken !== undefined && { eosToken }) }
  const own = tried(() => compileTemplate({ chatTemplate, ...tokens }))
  if (!own || own.capabilities.tools || own.capabilities.thinking) return undefined
  const wanted = [short, long].map((messages) => rendered(own, messages, bosToken))
  return known.find(({ template }) => {
    const candidate = compileTemplate({ goTemplate: template })
    return [short, long].every((messages, index) => {
      return wanted[index] !== undefined && rendered(candidate, messages) === wanted[index]
    })
  })
}

/** Without the BOS that engines add; undefined where the template refuses the conversation. */
function rendered(template: PromptTemplate, messages: Message[], bosToken = ''): string | undefined {
  const text = tried(() => template.render({ messages, tools: [] }))
  return bosToken !== '' && text?.startsWith(bosToken) ? text.slice(bosToken.length) : text
}

/** A template that fails is none that is known. */
function tried<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof Error) return undefined
    throw error
  }
}
