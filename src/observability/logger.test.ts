import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLogger, type LogLevel } from './logger.ts'

function logInto({ level = 'info', pretty = false }: { level?: LogLevel; pretty?: boolean } = {}) {
  const lines: string[] = []
  const log = createLogger({ level, pretty, destination: { write: (text) => void lines.push(text) } })
  return { log, lines, records: () => lines.map((line) => JSON.parse(line) as Record<string, unknown>) }
}

describe('the logger', () => {
  it('writes one JSON line an event, with time and level by name', () => {
    const { log, lines, records } = logInto()
    log.info({ model: 'drover', bytes: 12 }, 'model loaded')
    expect(lines[0]).toMatch(/^\{.*\}\n$/)
    expect(records()[0]).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      model: 'drover',
      bytes: 12,
      msg: 'model loaded',
    })
  })

  it('writes nothing below its level, and everything from it on', () => {
    const { log, records } = logInto({ level: 'warn' })
    log.debug({}, 'a')
    log.info({}, 'b')
    log.warn({}, 'c')
    log.error({}, 'd')
    expect(records().map(({ msg }) => msg)).toEqual(['c', 'd'])
  })

  it('gives children the facts of their parents, redacted too', () => {
    const { log, records } = logInto()
    log.child({ instance: 'x1', apiKey: 'sk-1' }).child({ pid: 7 }).error({}, 'gone')
    expect(records()[0]).toMatchObject({ instance: 'x1', apiKey: '[secret]', pid: 7 })
  })

  it('writes lines for people when asked', () => {
    const { log, lines } = logInto({ pretty: true })
    log.warn({ model: 'a b', code: 'busy', empty: '', list: [1] }, 'no room')
    expect(lines[0]).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} warn {2}no room {2}model="a b" {2}code=busy {2}empty="" {2}list=\[1\]\n$/,
    )
  })
})

describe('what must not be in a log', () => {
  it('is taken out: conversation and secrets, at any depth', () => {
    const { log, lines, records } = logInto()
    log.info(
      {
        request: { messages: [{ content: 'HUSH' }], prompt: 'HUSH', headers: { authorization: 'HUSH' } },
        apiKey: 'HUSH',
        list: [{ password: 'HUSH' }],
        command: 'llama-server --api-key HUSH -c 4096',
        header: 'Authorization: Bearer HUSH',
        images: new Uint8Array(9),
      },
      'request',
    )
    expect(lines[0]).not.toContain('HUSH')
    expect(records()[0]).toMatchObject({
      request: { messages: '[omitted]', headers: { authorization: '[secret]' } },
      command: 'llama-server --api-key [secret] -c 4096',
      header: 'Authorization: Bearer [secret]',
    })
  })

  it('is not numbers, nor the words of an error', () => {
    const { log, records } = logInto()
    log.info({ context: 4096, tokens: 7, error: new Error('no such file') }, 'x')
    expect(records()[0]).toMatchObject({ context: 4096, tokens: 7, error: { message: 'no such file' } })
  })

  it('is a line without an end', () => {
    const { log, lines } = logInto()
    const circle: Record<string, unknown> = { text2: 'x'.repeat(1e6), list: Array(1e5).fill(1) }
    circle.self = circle
    log.info(circle, 'big')
    expect(lines[0]?.length).toBeLessThan(30_000)
  })

  it('never reaches the output, whatever surrounds it', () => {
    const name = fc.constantFrom(
      'prompt',
      'content',
      'authorization',
      'sessionSecret',
      'messages',
      'response',
    )
    const path = fc.array(fc.constantFrom('a', 'b', 'options'), { maxLength: 5 })
    fc.assert(
      fc.property(name, path, fc.boolean(), (last, names, pretty) => {
        const { log, lines } = logInto({ pretty })
        const facts = names.reduceRight<object>((inner, outer) => ({ [outer]: [inner] }), { [last]: 'HUSH' })
        log.info(facts, 'x')
        expect(lines[0]).not.toContain('HUSH')
      }),
    )
  })
})

it('follows a level that changes, in its children too', () => {
  const lines: string[] = []
  let level: 'info' | 'debug' | 'error' = 'info'
  const log = createLogger({
    level: () => level,
    pretty: false,
    destination: { write: (text) => lines.push(text) },
  })
  const child = log.child({ part: 'child' })
  child.debug({}, 'unheard')
  level = 'debug'
  child.debug({}, 'heard')
  level = 'error'
  log.info({}, 'unheard')
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual(['heard'])
})
