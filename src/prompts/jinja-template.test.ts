import { describe, expect, it } from 'vitest'
import { DroverError, type Message, type Think, type Tool } from '../inference/index.ts'
import { compileTemplate } from './index.ts'

const add: Tool = {
  type: 'function',
  function: { name: 'add', parameters: { type: 'object', properties: {} } },
}
const addJson =
  '{"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}'
const system: Message = { role: 'system', content: 'Be brief.' }
const user: Message = { role: 'user', content: 'Hi' }
const calling: Message = {
  role: 'assistant',
  content: '',
  thinking: 'Hm.',
  tool_calls: [{ id: 'call_1', function: { index: 0, name: 'add', arguments: { b: 1, a: [2.5] } } }],
}
const reply: Message = { role: 'tool', content: '3', tool_name: 'add', tool_call_id: 'call_1' }

function render(chatTemplate: string, messages: Message[], tools: Tool[] = [], think?: Think): string {
  const template = compileTemplate({ chatTemplate, bosToken: '<s>', eosToken: '</s>' })
  return template.render({ messages, tools, ...(think !== undefined && { think }) })
}

const chatml = `{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}`

const qwen3 = `{%- if tools %}
{{- '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{- messages[0].content + '\\n\\n' }}{%- endif %}
{{- '<tools>' }}
{%- for tool in tools %}{{- '\\n' }}{{- tool | tojson }}{%- endfor %}
{{- '\\n</tools><|im_end|>\\n' }}
{%- elif messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- if message.role == 'user' %}{{- '<|im_start|>user\\n' + message.content + '<|im_end|>\\n' }}
{%- elif message.role == 'assistant' %}
{{- '<|im_start|>assistant\\n' }}
{%- if message.reasoning_content is string %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{{- message.content }}
{%- for tool_call in message.tool_calls or [] %}
{%- if tool_call.function %}{%- set tool_call = tool_call.function %}{%- endif %}
{{- '<tool_call>\\n{"name": "' + tool_call.name + '", "arguments": ' }}
{%- if tool_call.arguments is string %}{{- tool_call.arguments }}{%- else %}{{- tool_call.arguments | tojson }}{%- endif %}
{{- '}\\n</tool_call>' }}
{%- endfor %}
{{- '<|im_end|>\\n' }}
{%- elif message.role == 'tool' %}{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + '\\n</tool_response><|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
{%- endif %}`

const llama3 = `{{- bos_token }}{% for message in messages %}{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{{ content }}{% endfor %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}`

describe('chat templates', () => {
  it.each<[string, string, string]>([
    [
      'ChatML',
      chatml,
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    ],
    [
      'Llama 3',
      llama3,
      '<s><|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>' +
        '<|start_header_id|>assistant<|end_header_id|>\n\n',
    ],
    [
      'Qwen 3',
      qwen3,
      '<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n',
    ],
    ['absent tools', '{{ tools is none }} {{ tools is defined }}', 'true true'],
    ['nothing said about thinking', '{{ enable_thinking is defined }}', 'false'],
    ['the end of a sequence', '{{ eos_token }}', '</s>'],
    ['the date', "{{ strftime_now('%Y') | length }}", '4'],
  ])('%s', (_, source, expected) => {
    expect(render(source, [system, user])).toBe(expected)
  })

  it('tools, thinking, calls and replies of Qwen 3', () => {
    expect(render(qwen3, [system, user, calling, reply], [add], true)).toBe(
      `<|im_start|>system\nBe brief.\n\n<tools>\n${addJson}\n</tools><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n` +
        '<|im_start|>assistant\n<think>\nHm.\n</think>\n\n<tool_call>\n{"name": "add", "arguments": {"b": 1, "a": [2.5]}}\n' +
        '</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\n3\n</tool_response><|im_end|>\n<|im_start|>assistant\n',
    )
    expect(render(qwen3, [user], [], false)).toContain('assistant\n<think>\n\n</think>\n\n')
  })

  const level = '{{ enable_thinking }} {{ thinking }} {{ reasoning_effort }}'
  it.each<[Think, string, string]>([
    [true, level, 'true true '],
    [false, level, 'false false '],
    ['low', level, 'true true low'],
    ['max', level, 'true true max'],
    ['max', `${level} <|channel|>`, 'true true high <|channel|>'],
  ])('thinking %s', (think, source, expected) => {
    expect(render(source, [user], [], think)).toBe(expected)
  })

  it.each([
    ['objects where the template takes them', '{{ c.function.arguments | tojson }}', '{"b": 1, "a": [2.5]}'],
    ['text where it adds them up', "{{ '>' + c.function.arguments }}", '>{"b":1,"a":[2.5]}'],
    ['objects where it shows neither', '{{ c.function.name }}', 'add'],
  ])('arguments are %s', (_, shown, expected) => {
    const source = `{% for m in messages %}{% for c in m.tool_calls or [] %}${shown}{% endfor %}{% endfor %}`
    expect(render(source, [user, calling])).toBe(expected)
    expect(render(source, [user])).toBe('')
  })

  it('the names and ids of calls and replies are there', () => {
    const source =
      '{% for m in messages %}{% if m.role == "tool" %}{{ m.name }} {{ m.tool_call_id }}{% elif m.tool_calls %}' +
      '{{ m.tool_calls[0].id }} {{ m.tool_calls[0].type }} {{ m.thinking }} {% endif %}{% endfor %}'
    expect(render(source, [user, calling, reply])).toBe('call_1 function Hm. add call_1')
  })

  it('a complaint of the template is a bad request in its words', () => {
    const source =
      "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    expect(() => render(source, [system])).toThrow(
      new DroverError('invalid_request', 'System role not supported'),
    )
    expect(render(source, [user])).toBe('')
  })

  it('a template that cannot be read is not supported', () => {
    expect(() => compileTemplate({ chatTemplate: '{% if %}' })).toThrow(
      new DroverError(
        'unsupported',
        "the model's chat template cannot be read: Unexpected token: CloseStatement",
      ),
    )
  })

  it('there is no place for a suffix', () => {
    expect(() => compileTemplate({ chatTemplate: chatml }).renderInsert('a', 'b')).toThrow(DroverError)
  })
})

describe('what a chat template shows of itself', () => {
  it.each([
    ['ChatML', chatml, false, false, undefined, undefined],
    ['Qwen 3', qwen3, true, true, '<think>', '<tool_call>'],
    [
      'Mistral',
      '{{ tools }}[THINK][/THINK][TOOL_CALLS]{{ tool_calls }}[TOOL_RESULTS]',
      true,
      false,
      '[THINK]',
      '[TOOL_CALLS]',
    ],
    [
      "replies by the message's role",
      `{{ tools }}{{ tool_calls }}{% if message.role == "tool" %}{% endif %}`,
      true,
      true,
      undefined,
      '{',
    ],
    [
      'replies by the role as key',
      `{{ tools }}{{ tool_calls }}{% if message['role'] == 'tool' %}{% endif %}`,
      true,
      true,
      undefined,
      '{',
    ],
    [
      'thinking that is only taken out',
      `{{ content.split('</think>')|last }}`,
      false,
      false,
      '<think>',
      undefined,
    ],
    [
      'thinking in a field',
      `{{ content.split('</think>')|last }}{{ reasoning_content }}`,
      false,
      false,
      undefined,
      undefined,
    ],
  ])('%s', (_, chatTemplate, tools, toolRoundTrip, open, toolTag) => {
    const template = compileTemplate({ chatTemplate })
    expect(template.capabilities).toEqual({
      tools,
      toolRoundTrip,
      thinking: open !== undefined,
      insert: false,
    })
    expect(template.thinkTags?.open).toBe(open)
    expect(template.toolTag).toBe(toolTag)
  })
})
