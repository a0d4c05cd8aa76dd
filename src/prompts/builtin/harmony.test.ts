import { describe, expect, it } from 'vitest'
import { createHarmonyParser } from './harmony.ts'
import { parseEveryWay, tool } from './split.fixture.ts'

const tools = [tool('get-weather', { city: { type: 'string' } })]
const parse = (output: string, prompt = '<|start|>user<|message|>Q<|end|><|start|>assistant') =>
  parseEveryWay(() => createHarmonyParser(prompt, tools), output)

const thought = '<|channel|>analysis<|message|>Hm.<|end|>'
const next = '<|start|>assistant'

describe('an answer in harmony', () => {
  it('has thoughts in the channel analysis and text in the channel final', () => {
    expect(parse(`${thought}${next}<|channel|>final<|message|>Yes < no.<|return|>`)).toEqual([
      { thought: 'Hm.' },
      { text: 'Yes < no.' },
    ])
  })

  it('has calls where a message is meant for a function, its head in either order', () => {
    const call =
      '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Paris"}<|call|>'
    const other = ' to=functions.other<|channel|>commentary json<|message|>{}<|call|>'
    expect(parse(thought + next + call)).toEqual([
      { thought: 'Hm.' },
      { call: 'get-weather', args: { city: 'Paris' } },
    ])
    expect(parse(other + next + call)).toEqual([
      { call: 'other', args: {} },
      { call: 'get-weather', args: { city: 'Paris' } },
    ])
  })

  it('shows what a model says before its calls, and arguments that cannot be read', () => {
    const preamble = '<|channel|>commentary<|message|>I look.<|end|>'
    const broken = '<|channel|>commentary to=functions.f<|message|>{"a":<|call|>'
    expect(parse(preamble + next + broken)).toEqual([{ text: 'I look.{"a":' }])
  })

  it('may be cut anywhere: what was begun is shown', () => {
    expect(parse('<|channel|>final<|message|>Yes')).toEqual([{ text: 'Yes' }])
    expect(parse('<|channel|>commentary to=functions.f<|message|>{"a":1}')).toEqual([
      { call: 'f', args: { a: 1 } },
    ])
    expect(parse('<|channel|>fin')).toEqual([])
    expect(parse('No format at all.')).toEqual([{ text: 'No format at all.' }])
  })

  it('may go on with a text that the prompt has begun', () => {
    const begun = '<|start|>assistant<|channel|>final<|message|>It'
    expect(parse(' is.<|return|>', begun)).toEqual([{ text: ' is.' }])
  })
})
