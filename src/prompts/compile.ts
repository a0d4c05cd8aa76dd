import { DroverError } from '../inference/index.ts'
import { findParser, findRenderer } from './builtin/catalog.ts'
import type { PromptTemplate, TemplateCapabilities } from './contract.ts'
import { compileJinjaTemplate } from './jinja-template.ts'
import { compileGoTemplate } from './ollama-template.ts'

export interface CompileTemplateOptions {
  /** Ollama's TEMPLATE: the model file's, or the request's. */
  goTemplate?: string
  /** The GGUF's `tokenizer.chat_template`. */
  chatTemplate?: string
  bosToken?: string
  eosToken?: string
  /** `OLLAMA_GO_TEMPLATE` where it is set: whether to use the Go template of a model that has both. */
  goTemplateSetting?: boolean
  /** A family's renderer and parser, by the names of the model's config. */
  renderer?: string
  parser?: string
  /** The model's architecture and its size, which some families follow. */
  architecture?: string
  parameterCount?: number
  /** Dates `currentDate`; the machine's clock by default. */
  now?: () => Date
}

/**
 * Compiles a model's template: the Go one, unless the model's own chat template can do more or the setting says
 * otherwise; the prompt alone where a model has neither. Throws `DroverError` `invalid_template` (Go, with Go's
 * text) or `unsupported` (a chat template that cannot be read).
 */
export function compileTemplate(options: CompileTemplateOptions): PromptTemplate {
  const template = compileText(options)
  const { renderer = '', parameterCount } = options
  const render = findRenderer(renderer, parameterCount)
  const parser = findParser(options.parser || (speaksHarmony(options, template) ? 'harmony' : ''))
  if (renderer !== '' && !render) return refusing(template, 'renderer', renderer)
  if (options.parser && !parser) return refusing(template, 'parser', options.parser)
  if (!render && !parser) return template
  const { capabilities } = template
  return {
    ...template,
    ...(render && { language: 'builtin' as const, render }),
    ...(parser && { parser }),
    capabilities: {
      ...capabilities,
      ...(render && { toolRoundTrip: true }),
      ...(parser && {
        tools: capabilities.tools || parser.tools,
        thinking: capabilities.thinking || parser.thinking,
      }),
    },
  }
}

/** A model for a later version can be shown, but not prompted. */
function refusing(template: PromptTemplate, kind: string, name: string): PromptTemplate {
  const render = (): never => {
    const problem = `the model asks for the ${kind} "${name}", which this version does not have: update Drover`
    throw new DroverError('unsupported', problem)
  }
  return { ...template, render }
}

/** gpt-oss says in its template alone that it does. */
function speaksHarmony({ architecture }: CompileTemplateOptions, { source }: PromptTemplate): boolean {
  const isGptOss = architecture === 'gptoss' || architecture === 'gpt-oss'
  return isGptOss && source.includes('<|start|>') && source.includes('<|end|>')
}

/** The template that a text of the model's says. */
function compileText(options: CompileTemplateOptions): PromptTemplate {
  const { goTemplate, chatTemplate, goTemplateSetting, now } = options
  if (goTemplate === undefined) {
    return chatTemplate
      ? compileJinjaTemplate(chatTemplate, options)
      : compileGoTemplate('{{ .Prompt }}', now)
  }
  if (!chatTemplate || goTemplateSetting === true) return compileGoTemplate(goTemplate, now)
  if (goTemplateSetting === false) return compileJinjaTemplate(chatTemplate, options)
  const go = compileGoTemplate(goTemplate, now)
  const jinja = tryJinja(chatTemplate, options)
  return jinja && isPreferred(jinja.capabilities, go.capabilities) ? jinja : go
}

/** Checks a request's template. Throws `DroverError` `invalid_template` with Go's text. */
export function validateGoTemplate(source: string): void {
  compileGoTemplate(source)
}

/** A chat template that cannot be read is no choice where there is another. */
function tryJinja(source: string, options: CompileTemplateOptions): PromptTemplate | undefined {
  try {
    return compileJinjaTemplate(source, options)
  } catch (error) {
    if (error instanceof DroverError) return undefined
    throw error
  }
}

/** Ollama's rule (`shouldPreferChatTemplate`): more capabilities, or the same with replies of tools as well. */
function isPreferred(jinja: TemplateCapabilities, go: TemplateCapabilities): boolean {
  const count = ({ tools, thinking, insert }: TemplateCapabilities) =>
    Number(tools) + Number(thinking) + Number(insert)
  if (count(jinja) > count(go)) return !go.toolRoundTrip || jinja.toolRoundTrip
  const same = jinja.tools === go.tools && jinja.thinking === go.thinking && jinja.insert === go.insert
  return same && jinja.tools && jinja.toolRoundTrip && !go.toolRoundTrip
}
