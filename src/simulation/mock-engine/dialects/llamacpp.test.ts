import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startMock, type TestMock } from '../testing.ts'

interface Event {
  content: string
  tokens: number[]
  stop: boolean
  stop_type?: string
  stopping_word?: string
  tokens_predicted: number
  timings?: { cache_n: number; prompt_n: number; predicted_n: number }
  prompt_progress?: { total: number; cache: number; processed: number }
}

let folder: string
let mock: TestMock
let other: TestMock
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-mock-'))
  ;[mock, other] = await Promise.all([
    startMock({ slotSavePath: folder }),
    startMock({ slotSavePath: folder, models: ['other'] }),
  ])
})
afterAll(async () => {
  await Promise.all([mock.close(), other.close()])
  await rm(folder, { recursive: true })
})

const textOf = (events: readonly Event[]) => events.map(({ content }) => content).join('')
const tokensOf = (events: readonly Event[]) => events.flatMap(({ tokens }) => tokens)
const ask = (prompt: unknown, more: object = {}) => ({ prompt, stream: true, n_predict: 40, ...more })

describe("llama-server's dialect", () => {
  it('streams an answer as events and tells at its end what it took', async () => {
    const events = await mock.events<Event>('/completion', ask('Once upon a time'))
    const last = events.at(-1)
    expect(events.slice(0, -1).every(({ stop, content }) => !stop && content !== '')).toBe(true)
    expect(last).toMatchObject({ stop: true, content: '', model: 'mock' })
    expect(last?.timings?.predicted_n).toBe(last?.tokens_predicted)
    const whole = await mock.json<Event>(
      '/completion',
      ask('Once upon a time', { stream: false, return_tokens: true }),
    )
    expect(whole).toMatchObject({ content: textOf(events), tokens: tokensOf(events), stop: true })
  })

  it('goes on with an answer that another one began, from tokens and from text', async () => {
    const whole = await mock.events<Event>(
      '/completion',
      ask('Tell me a story.', { n_predict: 120, ignore_eos: true }),
    )
    const { tokens: prompt } = await mock.json<{ tokens: number[] }>('/tokenize', {
      content: 'Tell me a story.',
    })
    for (const cut of [1, 7, 33, 64]) {
      const seen = whole.slice(0, cut)
      const left = 120 - tokensOf(seen).length
      const more = { n_predict: left, ignore_eos: true }
      const byTokens = await other.events<Event>('/completion', ask([...prompt, ...tokensOf(seen)], more))
      expect(textOf(seen) + textOf(byTokens)).toBe(textOf(whole))
      const byText = await other.events<Event>('/completion', ask(`Tell me a story.${textOf(seen)}`, more))
      expect(textOf(seen) + textOf(byText)).toBe(textOf(whole))
    }
  })

  it('ends at a stop string, at the limit and at its own end', async () => {
    const [first, ...rest] = (await mock.events<Event>('/completion', ask('Stop here'))).slice(0, 6)
    const word = rest.at(-1)?.content ?? ''
    const stopped = await mock.events<Event>('/completion', ask('Stop here', { stop: [word] }))
    expect(stopped.at(-1)).toMatchObject({ stop_type: 'word', stopping_word: word })
    expect(textOf(stopped)).toBe((first?.content ?? '') + textOf(rest.slice(0, -1)))
    const limited = await mock.events<Event>('/completion', ask('Stop here', { n_predict: 3 }))
    expect(limited.at(-1)).toMatchObject({ stop_type: 'limit', tokens_predicted: 3 })
    const ended = await mock.events<Event>('/completion', ask('Stop here', { n_predict: -1 }))
    expect(ended.at(-1)).toMatchObject({ stop_type: 'eos' })
  })

  it('reuses the cache, unless it is told not to, and tells how far the prompt is', async () => {
    const prompt = 'A shared beginning of many words. '.repeat(60)
    const first = await mock.events<Event>('/completion', ask(prompt, { return_progress: true }))
    const total = first[0]?.prompt_progress?.total ?? 0
    expect(first[0]?.prompt_progress).toMatchObject({ cache: 0 })
    expect(total).toBeGreaterThan(400)
    expect(first.at(-1)?.timings).toMatchObject({ cache_n: 0, prompt_n: total })
    const again = await mock.events<Event>('/completion', ask(`${prompt} more`, { return_progress: true }))
    const cached = again.at(-1)?.timings?.cache_n ?? 0
    expect(cached).toBeGreaterThan(total - 32)
    expect(again[0]?.prompt_progress).toMatchObject({ cache: cached })
    const fresh = await mock.events<Event>('/completion', ask(prompt, { cache_prompt: false }))
    expect(fresh.at(-1)?.timings).toMatchObject({ cache_n: 0, prompt_n: total })
  })

  it('gives the fields that are asked for at the end', async () => {
    const wanted = ['content', 'timings/predicted_n', 'generation_settings/seed', 'nothing']
    const events = await mock.events('/completion', ask('Fields', { n_predict: 2, response_fields: wanted }))
    expect(events.at(-1)).toEqual({ content: '', predicted_n: 2, seed: -1 })
  })

  it('moves the cache of a slot to another server by a file', async () => {
    const prompt = 'A long conversation about rivers and stones. '.repeat(60)
    const first = await mock.events<Event>('/completion', ask(prompt, { id_slot: 2, n_predict: 20 }))
    expect(first.at(-1)).toMatchObject({ id_slot: 2 })
    const saved = await mock.json<{ n_saved: number }>('/slots/2?action=save', { filename: 'two.bin' })
    expect(await readdir(folder)).toEqual(['two.bin'])
    const restored = await other.json('/slots/1?action=restore', { filename: 'two.bin' })
    expect(restored).toMatchObject({ id_slot: 1, filename: 'two.bin', n_restored: saved.n_saved })
    const next = await other.events<Event>('/completion', ask(`${prompt}${textOf(first)}`, { id_slot: 1 }))
    expect(next.at(-1)?.timings?.prompt_n).toBeLessThan(48)
    expect(next.at(-1)).toMatchObject({ id_slot: 1 })
    const { n_erased: erased } = await other.json<{ n_erased: number }>('/slots/1?action=erase', {})
    expect(erased).toBeGreaterThan(saved.n_saved)
    const cold = await other.events<Event>('/completion', ask(prompt))
    expect(cold.at(-1)?.timings?.cache_n).toBe(0)
  })

  it.each([
    ['/slots/9?action=erase', {}, 400, 'Invalid slot ID'],
    ['/slots/0?action=dance', {}, 400, 'Invalid action'],
    ['/slots/0?action=save', { filename: '../out.bin' }, 400, 'Invalid filename'],
    ['/slots/0?action=restore', { filename: 'nothing.bin' }, 400, 'Unable to restore slot'],
    ['/completion', {}, 400, 'prompt'],
    ['/completion', { prompt: [1, 5] }, 400, '5 is no token'],
    ['/completion', { prompt: ' river'.repeat(9_000) }, 400, 'exceeds the available context size'],
    ['/detokenize', { tokens: [-1] }, 400, '-1 is no token'],
  ])('refuses what it cannot do: %s', async (path, body, status, message) => {
    const response = await mock.post(path, body)
    expect(response.status).toBe(status)
    const { error } = (await response.json()) as { error: { code: number; message: string } }
    expect(error).toMatchObject({ code: status, message: expect.stringContaining(message) })
  })

  it('saves no slots without a folder for them', async () => {
    const bare = await startMock()
    const response = await bare.post('/slots/0?action=save', { filename: 'x.bin' })
    expect(response.status).toBe(501)
    await bare.close()
  })

  it('tokenizes and takes it back, tells its properties and its slots', async () => {
    const content = 'Rivers, stones & 東京 <|im_end|>'
    const { tokens } = await mock.json<{ tokens: number[] }>('/tokenize', { content })
    expect(await mock.json('/detokenize', { tokens })).toEqual({ content })
    const plain = await mock.json<{ tokens: number[] }>('/tokenize', { content, parse_special: false })
    expect(plain.tokens.length).toBeGreaterThan(tokens.length)
    const pieces = await mock.json<{ tokens: { id: number; piece: string | number[] }[] }>('/tokenize', {
      content: ' river é',
      with_pieces: true,
    })
    expect(pieces.tokens.map(({ piece }) => piece)).toEqual([' river', ' ', [0xc3], [0xa9]])
    expect(await mock.json('/tokenize', { content: '', add_special: true })).toEqual({ tokens: [] })
    expect(await mock.json('/props')).toMatchObject({
      total_slots: 4,
      default_generation_settings: { n_ctx: 8192 },
    })
    expect(await mock.json('/slots')).toHaveLength(4)
    const prompt = { prompt: '<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n' }
    expect(await mock.json('/apply-template', { messages: [{ role: 'user', content: 'hi' }] })).toEqual(
      prompt,
    )
  })

  it('shows what it is at, in slots and metrics', async () => {
    const slow = await startMock({ speed: 1, engine: { slots: 1 } })
    const gone = new AbortController()
    const [running, waiting] = [0, 1].map((index) =>
      slow.post('/completion', ask(`busy ${index}`, { n_predict: 1_000, ignore_eos: true }), gone.signal),
    )
    await running
    await expect.poll(() => slow.stats()).toMatchObject({ running: 1, waiting: 1 })
    expect(await slow.json('/slots')).toEqual([expect.objectContaining({ is_processing: true })])
    const full = await fetch(`${slow.url}/slots?fail_on_no_slot=1`)
    expect(full.status).toBe(503)
    const metrics = await (await fetch(`${slow.url}/metrics`)).text()
    expect(metrics).toContain('\nllamacpp:requests_processing 1\n')
    expect(metrics).toContain('\nvllm:num_requests_waiting 1\n')
    gone.abort()
    await expect(waiting).rejects.toThrow(/aborted/)
    await expect.poll(() => slow.stats()).toMatchObject({ running: 0, waiting: 0, abortedClients: 2 })
    expect(await slow.json('/slots')).toEqual([expect.objectContaining({ is_processing: false })])
    await slow.close()
  })

  it('answers 503 while it loads', async () => {
    const loading = await startMock({ speed: 1, engine: { loadMs: 300 } })
    const health = await fetch(`${loading.url}/health`)
    expect([health.status, await health.json()]).toEqual([
      503,
      { error: { code: 503, message: 'Loading model', type: 'unavailable_error' } },
    ])
    expect((await loading.post('/completion', ask('hi'))).status).toBe(503)
    expect((await loading.post('/v1/completions', { prompt: 'hi' })).status).toBe(503)
    await expect.poll(async () => (await fetch(`${loading.url}/health`)).status).toBe(200)
    expect((await loading.post('/completion', ask('hi'))).status).toBe(200)
    await loading.close()
  })
})
