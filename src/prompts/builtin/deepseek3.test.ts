import { describe, expect, it } from 'vitest'
import { createDeepseek3Parser, renderCogito, renderDeepseek31 } from './deepseek3.ts'
import { assistant, calls, parseEveryWay, reply, system, tool, user } from './split.fixture.ts'

const weather = tool('weather', { city: { type: 'string' } })
const call =
  '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>weather<｜tool▁sep｜>{"city":"Paris"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>'

describe('the prompts of DeepSeek 3.1', () => {
  it('open a thought unless told otherwise', () => {
    const turn = { messages: [system('S'), user('Q')], tools: [] }
    const prompt = '<｜begin▁of▁sentence｜>S<｜User｜>Q<｜Assistant｜>'
    expect(renderDeepseek31(turn)).toBe(`${prompt}<think>`)
    expect(renderDeepseek31({ ...turn, think: false })).toBe(`${prompt}</think>`)
  })

  it('offer tools, show calls, and go on behind their replies', () => {
    const messages = [user('Q'), assistant('', calls(['weather', { city: 'Paris' }])), reply('sunny')]
    const prompt = renderDeepseek31({ messages, tools: [weather] })
    expect(prompt).toMatch(
      /^<｜begin▁of▁sentence｜>\n\n## Tools\n.*\n### weather\nDescription: Runs weather\n\nParameters: \{/s,
    )
    expect(
      prompt.endsWith(
        `<｜User｜>Q<｜Assistant｜></think>${call}<｜end▁of▁sentence｜><｜tool▁output▁begin｜>sunny<｜tool▁output▁end｜>`,
      ),
    ).toBe(true)
  })

  it('of Cogito say in the system prompt whether to think', () => {
    const turn = { messages: [user('Q')], tools: [] }
    expect(renderCogito({ ...turn, think: true })).toMatch(
      /^<｜begin▁of▁sentence｜>Enable deep thinking subroutine\.\n\nYou are Cogito.*<｜User｜>Q<｜Assistant｜><think>\n$/,
    )
    expect(renderCogito(turn)).toMatch(/^<｜begin▁of▁sentence｜>You are Cogito.*<｜User｜>Q<｜Assistant｜>$/)
  })
})

describe('the output of DeepSeek 3.1', () => {
  const parse = (output: string, prompt = '<｜Assistant｜><think>', thinks = true) =>
    parseEveryWay(() => createDeepseek3Parser(prompt, thinks), output)

  it('is a thought up to its end, then text', () => {
    expect(parse('Hm.</think>Yes.')).toEqual([{ thought: 'Hm.' }, { text: 'Yes.' }])
    expect(parse('Yes.', '<｜Assistant｜></think>', false)).toEqual([{ text: 'Yes.' }])
  })

  it('has calls in either form, several in a row', () => {
    const two = call.replace(
      '<｜tool▁calls▁end｜>',
      '<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>',
    )
    expect(parse(`Hm.</think>I look.${two}`)).toEqual([
      { thought: 'Hm.' },
      { text: 'I look.' },
      { call: 'weather', args: { city: 'Paris' } },
      { call: 'f', args: {} },
    ])
    const fenced =
      '<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"city": "Rome"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>'
    expect(parse(fenced, '</think>', false)).toEqual([{ call: 'weather', args: { city: 'Rome' } }])
  })

  it('shows calls that cannot be read', () => {
    const broken = call.replace('"Paris"', '')
    expect(parse(broken, '</think>', false)).toEqual([{ text: broken }])
  })
})
