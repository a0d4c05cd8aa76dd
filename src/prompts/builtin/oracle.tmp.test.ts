import { readFileSync } from 'node:fs'
import { Template } from '@huggingface/jinja'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import type { Message } from '../../inference/index.ts'
import { renderGemma4 } from './gemma4.ts'
import { tool } from './split.fixture.ts'

const template = new Template(readFileSync('/tmp/h4/gemma4.jinja', 'utf8'))
const prop = fc.letrec((tie) => ({
  node: fc.oneof(
    { maxDepth: 2 },
    fc.record({ type: fc.constant('string'), description: fc.constantFrom('d', ''), enum: fc.constantFrom(['a', 'b'], []) }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constantFrom('integer', 'boolean') , description: fc.constant('n') }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('array'), items: fc.constantFrom({ type: 'string' }, { type: 'object', properties: { x: { type: 'string' } }, required: ['x'] }, { enum: [1, 'z'], minItems: 2, type: 'string' }) }, { requiredKeys: ['type'] }),
    fc.record({ type: fc.constant('object'), properties: fc.dictionary(fc.constantFrom('a', 'B', 'c_d'), tie('node')), required: fc.constantFrom(['a'], []) }),
  ),
})).node
const value = fc.jsonValue({ maxDepth: 2 }).filter((v) => !JSON.stringify(v).includes('e') && !JSON.stringify(v).includes('\\u'))
const message = fc.oneof(
  fc.record({ role: fc.constantFrom('user', 'system'), content: fc.constantFrom(' hi ', '', 'x\n') }),
  fc.record({ role: fc.constant('assistant'), content: fc.constantFrom(' ok ', '', 'a<|channel>b<channel|>c'), thinking: fc.constantFrom('t', '') }),
  fc.record({ role: fc.constant('assistant'), content: fc.constantFrom('', 'So'), tool_calls: fc.array(fc.record({ id: fc.constantFrom('1', '2'), function: fc.record({ index: fc.constant(0), name: fc.constantFrom('f', 'g'), arguments: fc.dictionary(fc.constantFrom('a', 'B', 'c'), value) }) }), { minLength: 1, maxLength: 2 }) }),
  fc.record({ role: fc.constant('tool'), content: fc.constantFrom('r', '{"a":1}'), tool_call_id: fc.constantFrom('1', '2') }),
)
it('is as the template', () => {
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 7 }), fc.boolean(), fc.array(fc.dictionary(fc.constantFrom('a', 'B', 'q'), prop), { maxLength: 2 }), (messages, think, props) => {
      for (const m of messages) for (const [i, c] of ((m as Message).tool_calls ?? []).entries()) c.id = String(i + 1)
      const tools = props.map((p, i) => tool(`t${i}`, p as never))
      const expected = template.render({
        messages: messages.map((m) => ({ ...m, reasoning: (m as Message).thinking })),
        tools: tools.length ? tools : null, enable_thinking: think, add_generation_prompt: true, bos_token: '<bos>',
      })
      expect(renderGemma4({ messages: messages as Message[], tools, think }, { emptyThought: true })).toBe(expected)
    }),
    { numRuns: 3000 },
  )
})
