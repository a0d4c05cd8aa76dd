import { describe, expect, it } from 'vitest'
import type { ModelFile } from '../contract.ts'
import { detectTemplate } from './known-templates.ts'

const detect = (chatTemplate: string) =>
  detectTemplate({ chatTemplate, bosToken: '<s>', eosToken: '</s>' } as unknown as ModelFile)?.name

const loop = (body: string, end: string) =>
  `{{ bos_token }}{% for message in messages %}${body}{% endfor %}{% if add_generation_prompt %}${end}{% endif %}`

describe('a chat template is known by what it renders', () => {
  it.each([
    [
      'chatml',
      loop(
        "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}",
        "{{ '<|im_start|>assistant\\n' }}",
      ),
    ],
    [
      'llama3-instruct',
      loop(
        "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n' + message['content'] | trim + '<|eot_id|>' %}{{ content }}",
        "{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}",
      ),
    ],
    [
      'gemma-instruct',
      loop(
        "{% if message['role'] == 'assistant' %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}",
        "{{ '<start_of_turn>model\\n' }}",
      ),
    ],
    [
      'phi-3',
      loop(
        "{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}",
        "{{ '<|assistant|>\\n' }}",
      ),
    ],
    [
      'zephyr',
      loop(
        "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token + '\\n' }}",
        "{{ '<|assistant|>\\n' }}",
      ),
    ],
    [
      'mistral-instruct',
      loop(
        "{% if message['role'] == 'user' %}{{ '[INST] ' + message['content'] + ' [/INST]' }}{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}",
        '',
      ),
    ],
  ])('%s', (name, template) => {
    expect(detect(template)).toBe(name)
  })

  it.each([
    ['one of its own', loop("{{ '### ' + message['role'] + message['content'] }}", '###')],
    ['one that fails', '{{ raise_exception("no") }}'],
    ['one that is none', '{% if %}'],
    [
      'one with tools',
      loop(
        "{% if tools %}{{ tools | tojson }}{% endif %}{% if message.tool_calls %}x{% endif %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}",
        "{{ '<|im_start|>assistant\\n' }}",
      ),
    ],
  ])('but not %s', (_, template) => {
    expect(detect(template)).toBeUndefined()
  })
})
