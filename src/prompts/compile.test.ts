import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { cases } from '../../test/support/cases.ts'
import { DroverError } from '../inference/index.ts'
import { type CompileTemplateOptions, compileTemplate, validateGoTemplate } from './index.ts'

const plainGo = '{{ range .Messages }}{{ .Content }}{{ end }}'
const toolsGo = `{{ .Tools }}${plainGo}`
const roundTripGo = `${toolsGo}{{ range .Messages }}{{ if .ToolCalls }}<tool_call>{{ else if eq .Role "tool" }}{{ end }}{{ end }}`
const insertGo = `${plainGo}{{ .Suffix }}`
const plainJinja = '{{ messages }}'
const toolsJinja = '{{ tools }}'
const roundTripJinja = '{{ tools }}{{ tool_calls }}<tool_response>'
const thinkingJinja = '{{ tools }}<think></think>'

describe('which template is taken', () => {
  it.each<[string, CompileTemplateOptions, 'go' | 'jinja']>([
    ['neither: the prompt', {}, 'go'],
    ['an empty chat template is none', { chatTemplate: '' }, 'go'],
    ['only the chat template', { chatTemplate: plainJinja }, 'jinja'],
    ['only the Go template', { goTemplate: plainGo }, 'go'],
    ['both can do the same', { goTemplate: plainGo, chatTemplate: plainJinja }, 'go'],
    ['the chat template can do more', { goTemplate: plainGo, chatTemplate: toolsJinja }, 'jinja'],
    ['more, but not show replies', { goTemplate: roundTripGo, chatTemplate: thinkingJinja }, 'go'],
    ['the same, and replies', { goTemplate: toolsGo, chatTemplate: roundTripJinja }, 'jinja'],
    ['the same, and both replies', { goTemplate: roundTripGo, chatTemplate: roundTripJinja }, 'go'],
    ['as much, but other things', { goTemplate: insertGo, chatTemplate: toolsJinja }, 'go'],
    ['less', { goTemplate: toolsGo, chatTemplate: plainJinja }, 'go'],
    ['more, but Go is set', { goTemplate: plainGo, chatTemplate: toolsJinja, goTemplateSetting: true }, 'go'],
    [
      'less, but Go is unset',
      { goTemplate: toolsGo, chatTemplate: plainJinja, goTemplateSetting: false },
      'jinja',
    ],
    ['Go is unset, but there is no other', { goTemplate: toolsGo, goTemplateSetting: false }, 'go'],
    ['the chat template cannot be read', { goTemplate: plainGo, chatTemplate: '{% if %}' }, 'go'],
  ])('%s', (_, options, language) => {
    expect(compileTemplate(options).language).toBe(language)
  })
})

describe("a request's template", () => {
  it.each([
    ['{{ .Prompt }', 'template: :1: unexpected "}" in operand'],
    ['{{ if .Prompt }}', 'template: :1: unexpected EOF'],
    ['a\n{{ nope }}', 'template: :2: function "nope" not defined'],
    ['{{ template "x" }}', 'undefined template specified'],
    ['{{ if 1 }}{{ else }}{{ template "x" }}{{ end }}', 'undefined template specified'],
  ])("%s is refused in Go's words", (source, message) => {
    expect(() => validateGoTemplate(source)).toThrow(new DroverError('invalid_template', message))
  })

  it('is accepted where Go would accept it', () => {
    expect(() => validateGoTemplate('{{ .Prompt }}')).not.toThrow()
  })

  it('whatever it is, only errors for the client are thrown', () => {
    const turn = { messages: [{ role: 'user' as const, content: 'Hi' }], tools: [] }
    const sources = fc.oneof(
      fc.string(),
      fc.string().map((text) => `{{ ${text} }}{% ${text} %}`),
    )
    fc.assert(
      fc.property(sources, fc.boolean(), (source, isGo) => {
        try {
          compileTemplate(isGo ? { goTemplate: source } : { chatTemplate: source }).render(turn)
        } catch (error) {
          expect(error).toBeInstanceOf(DroverError)
        }
      }),
      { numRuns: cases(2000) },
    )
  })
})
