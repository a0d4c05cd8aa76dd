import { describe, expect, it } from 'vitest'
import { findParser, findRenderer } from './catalog.ts'
import { parseEveryWay, tool, user } from './split.fixture.ts'

/** Each family's renderer and parser, an answer with a thought as its models write one, and what it shows. */
const families: [renderer: string, parser: string, answer: string, thought: boolean][] = [
  ['gemma4', 'gemma4', '<|channel>thought\nHm<channel|>Yes', true],
  ['gemma4-small', 'gemma4-no-thinking', '<|channel>thought\nHm<channel|>Yes', false],
  ['functiongemma', 'functiongemma', 'Yes', false],
  ['ministral', 'ministral', '[THINK]Hm[/THINK]Yes', true],
  ['llama3', 'llama3', 'Yes', false],
  ['cohere', 'cohere', 'Hm<|END_THINKING|><|START_TEXT|>Yes<|END_TEXT|>', true],
  ['olmo3', 'olmo3', 'Yes', false],
  ['olmo3.1', 'olmo3', 'Yes', false],
  ['olmo3-think', 'olmo3-think', 'Hm</think>Yes', true],
  ['olmo3-32b-think', 'olmo3-think', 'Hm</think>Yes', true],
  ['lfm2', 'lfm2', 'Yes', false],
  ['lfm2-thinking', 'lfm2-thinking', '<think>Hm</think>Yes', true],
  ['nemotron-3-nano', 'nemotron-3-nano', 'Hm</think>Yes', true],
  ['nemotron-3.5-nano', 'nemotron-3.5-nano', 'Hm</think>Yes', true],
  ['glm-ocr', 'glm-ocr', '<think>Hm</think>Yes', true],
  ['laguna', 'laguna', 'Hm</think>Yes', true],
  ['poolside-v1', 'poolside-v1', 'Hm</think>Yes', true],
  ['glimmer', 'glimmer', ' to=self<|message|>Hm<|eom|><|start|>assistant to=user<|message|>Yes<|eot|>', true],
]

describe('the catalogue', () => {
  it.each(families)(
    'reads with %s what it has rendered for %s',
    (rendererName, parserName, answer, thought) => {
      const tools = [tool('f', { a: { type: 'string' } })]
      const prompt = findRenderer(rendererName)?.({ messages: [user('Sure?')], tools, think: true }) ?? ''
      const parser = findParser(parserName)
      expect(prompt).toContain('Sure?')
      const seen = parseEveryWay(() => {
        if (parser === undefined) throw new Error(`no parser is called ${parserName}`)
        return parser.create({ prompt, tools, think: true })
      }, answer)
      expect(seen).toEqual([...(thought ? [{ thought: 'Hm' }] : []), { text: 'Yes' }])
    },
  )

  it('goes by size where the name leaves it open', () => {
    const turn = { messages: [user('Hi')], tools: [] }
    expect(findRenderer('gemma4', 4e9)?.(turn)).not.toContain('<channel|>')
    expect(findRenderer('gemma4', 12e9)?.(turn)).toContain('<channel|>')
    expect(findRenderer('gemma4-large')?.(turn)).toContain('<channel|>')
    expect(findRenderer('gemma4-small', 31e9)?.(turn)).not.toContain('<channel|>')
  })

  it('knows no other names', () => {
    expect(findRenderer('constructor')).toBeUndefined()
    expect(findParser('')).toBeUndefined()
  })
})
