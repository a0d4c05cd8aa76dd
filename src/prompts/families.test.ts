import { describe, expect, it } from 'vitest'
import { DroverError, type Message, type Think, type Tool } from '../inference/index.ts'
import {
  alpaca,
  chatml,
  codellama,
  deepseekR1,
  gemma,
  llama3,
  llama31,
  mistral,
  phi,
  qwen3,
} from './families.fixture.ts'
import { compileTemplate } from './index.ts'

const weather: Tool = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Weather <now>',
    parameters: {
      type: 'object',
      required: ['city'],
      properties: {
        unit: { type: 'string', enum: ['C', 'F'] },
        city: { type: 'string', description: 'Where' },
      },
    },
  },
}
const weatherFunctionJson =
  '{"name":"get_weather","description":"Weather \\u003cnow\\u003e","parameters":{"type":"object","required":["city"],' +
  '"properties":{"city":{"type":"string","description":"Where"},"unit":{"type":"string","enum":["C","F"]}}}}'
const weatherJson = `{"type":"function","function":${weatherFunctionJson}}`

const system: Message = { role: 'system', content: 'Be brief.' }
const user: Message = { role: 'user', content: 'Hi' }
const assistant: Message = { role: 'assistant', content: 'Hello' }
const again: Message = { role: 'user', content: 'Bye' }
const calling: Message = {
  role: 'assistant',
  content: '',
  thinking: 'I must look.',
  tool_calls: [
    { id: 'call_1', function: { index: 0, name: 'get_weather', arguments: { unit: 'C', city: 'Oslo' } } },
  ],
}
const reply: Message = {
  role: 'tool',
  content: '3 degrees',
  tool_name: 'get_weather',
  tool_call_id: 'call_1',
}

function render(source: string, messages: Message[], tools: Tool[] = [], think?: Think): string {
  const turn = { messages, tools, ...(think !== undefined && { think }) }
  return compileTemplate({ goTemplate: source, now: () => new Date(2026, 6, 4) }).render(turn)
}

const conversation = [system, user, assistant, again]
const toolConversation = [user, calling, reply]

describe('templates of the common families', () => {
  it.each([
    [
      'llama 3',
      llama3,
      '<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\nHello<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nBye<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n',
    ],
    [
      'ChatML',
      chatml,
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n' +
        '<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
    ],
    [
      'Qwen 3',
      qwen3,
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n' +
        '<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\n',
    ],
    ['Mistral', mistral, '[INST] Hi[/INST] Hello</s>[INST] Be brief.\n\nBye[/INST]'],
    [
      'Gemma',
      gemma,
      '<start_of_turn>user\nBe brief.<end_of_turn>\n<start_of_turn>user\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n' +
        '<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\n',
    ],
    [
      'Phi, whose last turn stops at the response',
      phi,
      '<|system|>\nBe brief.<|end|>\n<|user|>\nHi<|end|>\n<|assistant|>\nHello<|end|>\n<|user|>\nBye<|end|>\n<|assistant|>\n',
    ],
    [
      'Alpaca',
      alpaca,
      'Be brief.\n\n### Instruction:\nHi\n\n### Response:\nHello\n\n### Instruction:\nBye\n\n### Response:\n',
    ],
    [
      'DeepSeek R1',
      deepseekR1,
      'Be brief.<｜User｜>Hi<｜Assistant｜>Hello<｜end▁of▁sentence｜><｜User｜>Bye<｜Assistant｜>',
    ],
    ['Code Llama', codellama, '[INST] <<SYS>>Be brief.<</SYS>>\n\nHi [/INST]Hello[INST] Bye [/INST]'],
    ['the prompt alone', '{{ .Prompt }}', 'HiHelloBye'],
    ['a template without a response', 'Q: {{ .Prompt }}\nA: ', 'Q: Hi\nA: HelloQ: Bye\nA: '],
    [
      'an if around the response',
      '{{ .Prompt }}{{ if .Response }}[{{ .Response }}]{{ else }}-{{ end }}!',
      'Hi[Hello]!Bye',
    ],
    [
      'a response within a call',
      '{{ .Prompt }}:{{ print .Response "." (print "!") }}{{ .System }}',
      'Hi:Hello.!Be brief.Bye:',
    ],
  ])('%s', (_, source, expected) => {
    expect(render(source, conversation)).toBe(expected)
  })

  it('tools, calls and replies in Qwen 3', () => {
    expect(render(qwen3, toolConversation, [weather], true)).toBe(
      `<|im_start|>system\n\n\n# Tools\n<tools>\n{"type": "function", "function": ${weatherFunctionJson}}\n</tools><|im_end|>\n` +
        '<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n<think>\nI must look.\n</think>\n<tool_call>\n' +
        '{"name": "get_weather", "arguments": {"city":"Oslo","unit":"C"}}\n</tool_call><|im_end|>\n' +
        '<|im_start|>user\n<tool_response>\n3 degrees\n</tool_response><|im_end|>\n<|im_start|>assistant\n',
    )
  })

  it('thinking switched off in Qwen 3 closes an empty block', () => {
    expect(render(qwen3, [user], [], false)).toBe(
      '<|im_start|>user\nHi /no_think<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n',
    )
    expect(render(qwen3, [user], [], 'high')).toContain('Hi /think<|im_end|>')
  })

  it('tools before the last question in Llama 3.1', () => {
    expect(render(llama31, [user], [weather])).toBe(
      '<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023<|eot_id|>' +
        '<|start_header_id|>user<|end_header_id|>\n\nRespond as {"name": function name, "parameters": dictionary}.\n\n' +
        `${weatherJson}\n\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n`,
    )
    expect(render(llama31, toolConversation)).toContain(
      'assistant<|end_header_id|>\n\n{"name": "get_weather", "parameters": {"city":"Oslo","unit":"C"}}<|eot_id|>' +
        '<|start_header_id|>ipython<|end_header_id|>\n\n3 degrees<|eot_id|>',
    )
  })

  it('the list of tools in Mistral', () => {
    expect(render(mistral, [user], [weather])).toBe(
      `[AVAILABLE_TOOLS] [${weatherJson}][/AVAILABLE_TOOLS][INST] Hi[/INST]`,
    )
    expect(render(mistral, toolConversation)).toBe(
      '[INST] Hi[/INST][TOOL_CALLS] [{"name": "get_weather", "arguments": {"city":"Oslo","unit":"C"}}]</s>' +
        '[TOOL_RESULTS] {"content": 3 degrees}[/TOOL_RESULTS]',
    )
  })

  it('the place between prompt and suffix in Code Llama', () => {
    const template = compileTemplate({ goTemplate: codellama })
    expect(template.renderInsert('def f(', '  return 1')).toBe('<PRE> def f( <SUF>  return 1 <MID>')
    expect(() => compileTemplate({ goTemplate: llama3 }).renderInsert('a', 'b')).toThrow(DroverError)
  })
})

describe('what a template shows of itself', () => {
  const yes = (...names: string[]) => {
    const all = { tools: false, toolRoundTrip: false, thinking: false, insert: false }
    return { ...all, ...Object.fromEntries(names.map((name) => [name, true])) }
  }
  it.each([
    ['llama 3', llama3, yes(), undefined, undefined],
    ['llama 3.1', llama31, yes('tools', 'toolRoundTrip'), undefined, '{'],
    [
      'qwen 3',
      qwen3,
      yes('tools', 'toolRoundTrip', 'thinking'),
      { open: '<think>', close: '</think>' },
      '<tool_call>',
    ],
    ['mistral', mistral, yes('tools', 'toolRoundTrip'), undefined, '[TOOL_CALLS] ['],
    ['deepseek r1', deepseekR1, yes('thinking'), { open: '<think>', close: '</think>' }, undefined],
    ['code llama', codellama, yes('insert'), undefined, undefined],
    ['tools without calls', '{{ .Tools }}{{ .Messages }}', yes('tools'), undefined, '{'],
    [
      'a tag behind an action',
      '{{ .Tools }}{{ with .Messages }}{{ else }}{{ if .ToolCalls }}{{ .Content }}<call>{{ end }}{{ end }}',
      yes('tools'),
      undefined,
      '{',
    ],
    [
      'a tag in a nested branch',
      '{{ .Tools }}{{ range .Messages }}{{ if .ToolCalls }} {{ range .ToolCalls }}{{ else }}<call>\r\n{{ end }}{{ end }}{{ end }}',
      yes('tools'),
      undefined,
      '<call>',
    ],
    [
      'thinking outside of messages',
      '{{ range .X }}<a>{{ .Thinking }}</a>{{ end }}{{ .Messages }}',
      yes(),
      undefined,
      undefined,
    ],
    [
      'thinking in parentheses',
      '{{ range (slice .Messages 0) }}<a>{{ print (print .Thinking) }}</a>{{ end }}',
      yes('thinking'),
      { open: '<a>', close: '</a>' },
      undefined,
    ],
  ])('%s', (_, goTemplate, capabilities, thinkTags, toolTag) => {
    expect(compileTemplate({ goTemplate })).toMatchObject({
      language: 'go',
      source: goTemplate,
      capabilities,
    })
    expect(compileTemplate({ goTemplate }).thinkTags).toEqual(thinkTags)
    expect(compileTemplate({ goTemplate }).toolTag).toBe(toolTag)
  })
})

describe('the values a Go template sees', () => {
  it.each<[string, string, string, Message[], Tool[], Think | undefined]>([
    [
      'messages of a role are joined',
      '[Hi\n\nBye][Be brief.\n\nBe brief.]',
      '{{ range .Messages }}[{{ .Content }}]{{ end }}',
      [user, again, system, system],
      [],
      undefined,
    ],
    [
      'replies of tools are not',
      'get_weather/call_1 get_weather/call_1 ',
      '{{ range .Messages }}{{ .ToolName }}/{{ .ToolCallID }} {{ end }}',
      [reply, reply],
      [],
      undefined,
    ],
    [
      'system messages are joined and stay',
      'Be brief.\n\nBe brief.|3',
      '{{ .System }}|{{ len .Messages }}',
      [system, user, system],
      [],
      undefined,
    ],
    ['no tools', '0', '{{ if .Tools }}yes{{ end }}{{ .Messages | len }}', [], [], undefined],
    [
      'thinking said to be on',
      '0true medium true',
      '{{ .Messages | len }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}',
      [],
      [],
      true,
    ],
    [
      'thinking said to be off',
      '0false  true',
      '{{ .Messages | len }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}',
      [],
      [],
      false,
    ],
    [
      'thinking hard',
      '0true high true',
      '{{ .Messages | len }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}',
      [],
      [],
      'high',
    ],
    [
      'nothing said',
      '0false  false',
      '{{ .Messages | len }}{{ .Think }} {{ .ThinkLevel }} {{ .IsThinkSet }}',
      [],
      [],
      undefined,
    ],
    [
      'a call',
      '{call_1 {0 get_weather {"city":"Oslo","unit":"C"}}} 0 city:Oslo unit:C',
      '{{ range .Messages }}{{ range .ToolCalls }}{{ . }} {{ .Function.Index }}{{ range $k, $v := .Function.Arguments }} {{ $k }}:{{ $v }}{{ end }}{{ end }}{{ end }}',
      [calling],
      [],
      undefined,
    ],
    ['the date', '2026-07-04 0', '{{ currentDate }} {{ len .Messages }}', [], [], undefined],
    [
      'images are counted',
      '1',
      '{{ range .Messages }}{{ len .Images }}{{ end }}',
      [{ ...user, images: [new Uint8Array(2)] }],
      [],
      undefined,
    ],
  ])('%s', (_, expected, source, messages, tools, think) => {
    expect(render(source, messages, tools, think)).toBe(expected)
  })

  it('a property of a tool', () => {
    const tool: Tool = {
      type: 'function',
      items: { b: 1, a: 2 },
      function: {
        name: 'f',
        parameters: {
          type: 'object',
          $defs: { z: 1, y: [1.5] },
          items: 'i',
          properties: {
            many: { type: ['string', 'null'] },
            none: {},
            any: { anyOf: [{ type: 'integer' }, { type: 'boolean' }] },
            deep: { type: 'object', properties: { b: { type: 'array', items: {} }, a: {} }, required: ['b'] },
          },
        },
      },
    }
    const source =
      '{{ len .Messages }}{{ range .Tools }}{{ . }}{{ range $name, $p := .Function.Parameters.Properties }}\n' +
      '{{ $name }}: {{ .Type }} {{ toTypeScriptType $p }} {{ with .Properties }}{{ . }}{{ end }}{{ end }}{{ end }}'
    expect(render(source, [], [tool])).toBe(
      '0{"type":"function","items":{"a":2,"b":1},"function":{"name":"f","description":"","parameters":{"type":"object",' +
        '"$defs":{"y":[1.5],"z":1},"items":"i","properties":{"any":{"anyOf":[{"type":"integer"},{"type":"boolean"}]},' +
        '"deep":{"type":"object","properties":{"b":{"type":"array","items":{}},"a":{}},"required":["b"]},' +
        '"many":{"type":["string","null"]},"none":{}}}}}\n' +
        'any:  number | boolean \ndeep: object Record<string, any> {"b":{"type":"array","items":{}},"a":{}}\n' +
        'many: [string null] string | null \nnone:  any ',
    )
  })

  it('a field that messages do not have is refused as a bad request', () => {
    const broken = () => render('{{ range .Messages }}{{ .Nope }}{{ end }}', [user])
    expect(broken).toThrow(
      new DroverError(
        'invalid_request',
        'template: :1:24: executing "" at <.Nope>: can\'t evaluate field Nope in type *template.templateMessage',
      ),
    )
  })
})
