import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ModelfileError } from './commands.ts'
import { parseModelfile } from './parse.ts'

const parse = (text: string) => parseModelfile(`FROM x\n${text}`)

describe('a Modelfile', () => {
  it('is read with every instruction, in whatever case', () => {
    const text = [
      '# a model',
      'from llama3.2',
      'FROM ./projector.gguf',
      'Adapter ./lora.gguf',
      'DRAFT small',
      'PARAMETER temperature 0.5',
      'PARAMETER num_ctx 4096',
      'PARAMETER use_mmap false',
      'PARAMETER stop <end>',
      'PARAMETER stop "User: "',
      'TEMPLATE """{{ .System }}',
      '{{ .Prompt }}"""',
      'SYSTEM You are brief.',
      'RENDERER qwen3',
      'PARSER qwen3',
      'REQUIRES 0.14.0',
      'LICENSE MIT',
      'LICENSE """ISC"""',
      'MESSAGE user Hi "you"',
      'MESSAGE assistant "Hello."',
    ].join('\n')
    expect(parseModelfile(text)).toEqual({
      from: ['llama3.2', './projector.gguf'],
      adapters: ['./lora.gguf'],
      drafts: ['small'],
      template: '{{ .System }}\n{{ .Prompt }}',
      system: 'You are brief.',
      renderer: 'qwen3',
      parser: 'qwen3',
      requires: '0.14.0',
      parameters: { temperature: 0.5, num_ctx: 4096, use_mmap: false, stop: ['<end>', 'User: '] },
      deprecated: [],
      licenses: ['MIT', 'ISC'],
      messages: [
        { role: 'user', content: 'Hi "you"' },
        { role: 'assistant', content: 'Hello.' },
      ],
    })
  })

  it.each([
    ['SYSTEM "one\ntwo"', 'one\ntwo'],
    ['SYSTEM """say "hi" to\n\nme"""', 'say "hi" to\n\nme'],
    ["SYSTEM 'single'", "'single'"],
    ['SYSTEM """\n  kept  \n"""', '\n  kept  \n'],
    ['SYSTEM plain with "quotes" in it  ', 'plain with "quotes" in it'],
    ['SYSTEM\n  on the next line', 'on the next line'],
    ['SYSTEM a # no comment', 'a # no comment'],
    ['SYSTEM ""', ''],
    ['SYSTEM first\nSYSTEM second', 'second'],
    ['SYSTEM windows\r\nLICENSE x', 'windows'],
  ])('has the value of %j', (text, system) => {
    expect(parse(text).system).toBe(system)
  })

  it.each([
    ['', 'no FROM line'],
    ['# only a comment', 'no FROM line'],
    ['SYSTEM x', 'no FROM line'],
    [
      'FROM x\n\nFOO bar',
      '(line 3): command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", "parameter", "message", or "requires"',
    ],
    ['FROM x\nFROM', 'unexpected EOF'],
    ['FROM x\nSYSTEM """open', 'unexpected EOF'],
    ['FROM x\nSYSTEM "open', 'unexpected EOF'],
    ['FROM x\nPARAMETER temperature', 'unexpected EOF'],
    ['FROM x\nPARAMETER heat 1', "unknown parameter 'heat'"],
    ['FROM x\nPARAMETER temperature hot', 'invalid float value [hot]'],
    ['FROM x\nPARAMETER num_ctx 1.5', 'invalid int value [1.5]'],
    ['FROM x\nPARAMETER use_mmap perhaps', 'invalid bool value [perhaps]'],
    ['FROM x\nMESSAGE tool hi', 'message role must be one of "system", "user", or "assistant"'],
    ['FROM x\nREQUIRES new', 'requires must be a valid semver (e.g. 0.14.0)'],
  ])('%j is refused', (text, message) => {
    expect(() => parseModelfile(text)).toThrow(new ModelfileError(message))
  })

  it('passes over parameters that once were', () => {
    expect(parse('PARAMETER mirostat 1')).toMatchObject({ parameters: {}, deprecated: ['mirostat'] })
  })

  it('may be UTF-8 or UTF-16 with a byte order mark', () => {
    const text = 'FROM x\nSYSTEM 日本'
    const little = Buffer.from(`\uFEFF${text}`, 'utf16le')
    const encodings = [Buffer.from(`\uFEFF${text}`), little, Buffer.from(little).swap16()]
    for (const bytes of encodings) expect(parseModelfile(bytes).system).toBe('日本')
  })

  it('keeps any text between triple quotes as it is', () => {
    const quotable = fc
      .string({ unit: 'grapheme' })
      .filter((text) => !text.includes('"') && !text.includes('\r'))
    fc.assert(
      fc.property(quotable, fc.array(quotable), (system, licenses) => {
        const lines = [`SYSTEM """${system}"""`, ...licenses.map((text) => `LICENSE """${text}"""`)]
        expect(parse(lines.join('\n'))).toMatchObject({ system, licenses })
      }),
    )
  })

  it('never fails otherwise than with its own error', () => {
    const word = fc.constantFrom(
      'FROM',
      'SYSTEM',
      'PARAMETER',
      'MESSAGE',
      'user',
      'stop',
      '"',
      '"""',
      '#',
      ' ',
      '\n',
    )
    const texts = fc.oneof(
      fc.string(),
      fc.array(fc.oneof(word, fc.string())).map((parts) => parts.join(' ')),
    )
    fc.assert(
      fc.property(texts, (text) => {
        try {
          parseModelfile(text)
        } catch (error) {
          expect(error).toBeInstanceOf(ModelfileError)
        }
      }),
      { numRuns: 1000 },
    )
  })
})
