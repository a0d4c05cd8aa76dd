import { expect, it } from 'vitest'
import { describeModel, formatCount } from './describe-model.ts'

const details = { family: 'llama', parameter_size: '8.0B', quantization_level: 'Q4_K_M' }

it('describes a model side by side, with the beginning of long texts', () => {
  const text = describeModel(
    {
      details,
      requires: '0.14.0',
      model_info: {
        'general.architecture': 'llama',
        'llama.context_length': 131072,
        'llama.embedding_length': 4096,
      },
      projector_info: {
        'general.architecture': 'clip',
        'general.parameter_count': 311_030_016,
        'clip.vision.embedding_length': 1024,
        'clip.vision.projection_dim': 768,
      },
      capabilities: ['completion', 'vision'],
      parameters: 'num_ctx                        4096\nstop                           "<|eot_id|>"',
      system: 'You are a pirate!\n\n  Ahoy!\nArr',
      license: `${'word '.repeat(25)}\nsecond`,
    },
    false,
  )
  expect(text.split('\n').map((line) => line.trimEnd())).toEqual([
    '  Model',
    '    architecture        llama',
    '    parameters          8.0B',
    '    context length      131072',
    '    embedding length    4096',
    '    quantization        Q4_K_M',
    '    requires            0.14.0',
    '',
    '  Capabilities',
    '    completion',
    '    vision',
    '',
    '  Projector',
    '    architecture        clip',
    '    parameters          311.03M',
    '    embedding length    1024',
    '    dimensions          768',
    '',
    '  Parameters',
    '    num_ctx    4096',
    '    stop       "<|eot_id|>"',
    '',
    '  System',
    '    You are a pirate!',
    '    Ahoy!',
    '    ...',
    '',
    '  License',
    `    ${'word '.repeat(20).trim()}`,
    `    ${'word '.repeat(5).trim()}`,
    '    second',
    '',
    '',
  ])
})

it('describes a model of which nothing but its family is known', () => {
  expect(describeModel({ details, remote_host: 'https://there', remote_model: 'far' }, true)).toMatch(
    /^ {2}Model\n {4}Remote model +far +\n {4}Remote URL +https:\/\/there +\n {4}architecture +llama +\n/,
  )
})

it('shows all metadata and tensors when asked, arrays by their beginning', () => {
  const text = describeModel(
    {
      details,
      model_info: {
        'general.architecture': 'x',
        'b.list': [1, 2, 3, 4, 5, 6],
        'a.flag': true,
        'c.long': null,
      },
      tensors: [{ name: 'output.weight', type: 'F16', shape: [64, 300] }],
    },
    true,
  )
  expect(text).toMatch(/Metadata\n {4}a\.flag +true +\n {4}b\.list +\[1 2 3 \.\.\.\+3 more\] +\n {4}c\.long/)
  expect(text).toMatch(/Tensors\n {4}output\.weight +F16 +\[64 300\] +\n/)
})

it.each([
  [999, '999'],
  [96_800, '96.8K'],
  [137_000_000, '137M'],
  [22_570_000, '22.57M'],
  [8_030_261_312, '8.0B'],
])('counts %d parameters as %s', (count, text) => {
  expect(formatCount(count)).toBe(text)
})
