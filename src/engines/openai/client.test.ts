import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { type Answers, startReplay } from '../../../test/support/replay-server.ts'
import { createClient, errorIn } from './client.ts'
import { createEventSplitter, type ServerEvent } from './events.ts'

describe('server-sent events', () => {
  it('give the same values wherever the bytes are cut, however their lines end', () => {
    const values = fc.array(fc.record({ text: fc.string({ unit: 'binary' }) }))
    const cuts = fc.array(fc.nat(2_000), { maxLength: 20 })
    fc.assert(
      fc.property(
        values,
        cuts,
        fc.constantFrom('\n', '\r\n'),
        fc.constantFrom('data: ', 'data:'),
        (all, at, end, field) => {
          const lines = all.map((value) => `${field}${JSON.stringify(value)}${end}${end}`)
          const bytes = Buffer.from(
            `: ping${end}${end}event: x${end}${lines.join('')}data: [DONE]${end}${end}`,
          )
          const places = [...new Set([0, ...at.map((cut) => cut % (bytes.length + 1)), bytes.length])].sort(
            (a, b) => a - b,
          )
          const split = createEventSplitter()
          const parts = places.map((start, index) => split(bytes.subarray(start, places[index + 1])))
          const read: ServerEvent[] = parts.flatMap(({ events }) => events)
          expect(read).toEqual(JSON.parse(JSON.stringify(all)))
          expect(parts.some(({ done }) => done)).toBe(true)
        },
      ),
    )
  })
})

describe('an error', () => {
  it.each([
    [{ error: { message: 'no', type: 'BadRequest', code: 400 } }, 500, 400, 'no'],
    [{ error: { message: 'no', code: 'model_not_found' } }, 404, 404, 'no'],
    [{ error: 'Unauthorized' }, 401, 401, 'Unauthorized'],
    [{ object: 'error', message: 'no', type: 'x', code: 400 }, 400, 400, 'no'],
    [{ detail: 'Not Found' }, 404, 404, 'Not Found'],
    [{ detail: { error: { message: 'no', trace: null } } }, 503, 503, 'no'],
    [{ detail: [{ loc: ['body', 'prompt'], msg: 'Field required' }] }, 422, 422, 'prompt: Field required'],
  ])('is read from %j', (answer, given, status, message) => {
    expect(errorIn(given, answer)).toMatchObject({ status, message })
  })

  it('is none in what tells none', () => {
    expect(errorIn(200, { choices: [], detail: 'of something' })).toBeUndefined()
    expect(errorIn(200, { object: 'text_completion', error: null })).toBeUndefined()
    expect(errorIn(500, 'text')).toBeUndefined()
  })
})

describe('a client', () => {
  const open: (() => Promise<unknown>)[] = []
  afterEach(() => Promise.all(open.splice(0).map((close) => close())))

  async function served(answers: Answers, suffix = '', keys: object = {}) {
    const server = await startReplay(answers)
    const client = createClient({ url: server.url + suffix, ...keys })
    open.push(async () => {
      await client.close()
      await server.close()
    })
    return { client, server }
  }

  it.each(['', '/', '/v1', '/v1/'])(
    'asks the same routes of an address that ends with "%s"',
    async (suffix) => {
      const keys = { apiKey: 'secret', adminKey: 'admin' }
      const { client, server } = await served({ 'GET /v1/models': { json: { data: [] } } }, suffix, keys)
      expect(await client.json('GET', '/v1/models')).toEqual({ data: [] })
      expect(server.requests[0]?.headers).toMatchObject({
        authorization: 'Bearer secret',
        'x-admin-key': 'admin',
      })
    },
  )

  it('tells refusals, with the time to come again, in the words of whoever refused', async () => {
    const { client } = await served({
      'POST /v1/completions': { status: 502, text: '<html>bad gateway</html>' },
      'GET /gone': { status: 500, text: '' },
    })
    await expect(client.json('POST', '/v1/completions', {})).rejects.toMatchObject({
      status: 502,
      message: '<html>bad gateway</html>',
    })
    await expect(client.text('/gone')).rejects.toMatchObject({ status: 500, message: 'status 500' })
    await expect(client.ping('/gone', AbortSignal.timeout(1_000))).rejects.toThrow('/gone tells 500')
  })

  it('gives events up to [DONE], and throws an error that comes among them', async () => {
    const { client } = await served({
      'POST /good': { events: [{ a: 1 }, 'DONE', { a: 2 }] },
      'POST /bad': { events: [{ error: { message: 'out of luck' } }] },
    })
    const read = async (path: string) => {
      const all: ServerEvent[] = []
      for await (const events of client.events(path, {}, new AbortController().signal)) all.push(...events)
      return all
    }
    expect((await read('/good'))[0]).toEqual({ a: 1 })
    await expect(read('/bad')).rejects.toMatchObject({ status: 200, message: 'out of luck' })
  })
})
