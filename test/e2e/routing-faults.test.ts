import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { getJson, ndjson, startDrover, type TestDrover, until } from '../support/drover.ts'
import { type MockProcess, startMockEngine } from '../support/mock-engine.ts'

/**
 * Two mock engines as attached Ollamas, and what becomes of an answer when the one that has it misbehaves. Their text is
 * a function of the text before it, so whatever is lost, doubled or mixed up shows.
 */
const mockArgs = ['--model', 'drover', '--decode-ms', '4', '--slots', '2', '--answer-tokens', '60']
const slots = 2

interface Fleet {
  drover: TestDrover
  mocks: MockProcess[]
  stop(): Promise<void>
}

/** Drover over two mock engines, both loaded. */
async function startFleet(env: Record<string, string> = {}, ...args: string[]): Promise<Fleet> {
  const mocks = await Promise.all([1, 2].map(() => startMockEngine(...mockArgs, ...args)))
  const drover = await startDrover({
    env: {
      DROVER_ENGINE: 'ollama',
      DROVER_OLLAMA_URLS: mocks.map(({ url }) => url).join(','),
      OLLAMA_NUM_PARALLEL: `${slots}`,
      DROVER_SILENCE_TIMEOUT: '2s',
      ...env,
    },
  })
  const fleet: Fleet = {
    drover,
    mocks,
    stop: async () => {
      await drover.stop()
      await Promise.all(mocks.map((mock) => mock.stop()))
    },
  }
  await until('both are loaded', 60_000, async () => {
    const asks = Array.from({ length: slots + 1 }, (_, index) => `Warm up, number ${index}`)
    await Promise.all(asks.map((prompt) => ask(fleet, prompt, { options: { num_predict: 4 } })))
    return (await queueOf(fleet)).instances.filter(({ state }) => state === 'ready').length === mocks.length
  })
  return fleet
}

interface QueueStatus {
  waiting: number
  instances: { instance: number; state: string; running: number }[]
}

const queueOf = ({ drover }: Fleet) => getJson<QueueStatus>(`${drover.url}/api/queue`)
const bodyOf = (prompt: string, more: object = {}) => ({ model: 'drover', prompt, raw: true, ...more })

interface Asked {
  status: number
  text: string
  headers: Headers
}

/** Asks for a stream, under headers of one's own. */
async function ask(
  { drover }: Fleet,
  prompt: string,
  more: object = {},
  headers: Record<string, string> = {},
  signal?: AbortSignal,
): Promise<Asked> {
  const response = await fetch(`${drover.url}/api/generate`, {
    method: 'POST',
    headers,
    body: JSON.stringify(bodyOf(prompt, more)),
    ...(signal && { signal }),
  })
  const text = await response.text()
  return { status: response.status, text, headers: response.headers }
}

/** Text, reason and errors of a stream. */
function said({ text }: { text: string }) {
  const lines = ndjson<{ response?: string; error?: string; done?: boolean; done_reason?: string }>(text)
  return {
    text: lines.map(({ response }) => response ?? '').join(''),
    reason: lines.at(-1)?.done_reason,
    ends: lines.filter(({ done }) => done).length,
    errors: lines.flatMap(({ error }) => error ?? []),
  }
}

/** What a mock engine says by itself. */
const quiet = async ({ mocks }: Fleet, prompt: string, more: object = {}) => {
  const text = await (await mocks[1]?.post('/api/generate', bodyOf(prompt, more)))?.text()
  return said({ text: text ?? '' })
}

/** A fault that has hit as often as it should is off. */
const isOn = async ({ url }: MockProcess): Promise<boolean> =>
  (await getJson<{ faults: object[] }>(`${url}/mock/faults`)).faults.length > 0

const hitsOf = async ({ url }: MockProcess): Promise<number> => {
  const { faults } = await getJson<{ faults: { hits: number }[] }>(`${url}/mock/faults`)
  return faults.reduce((sum, { hits }) => sum + hits, 0)
}

describe('an answer whose engine misbehaves', () => {
  let fleet: Fleet
  beforeAll(async () => {
    fleet = await startFleet()
  })
  afterEach(() => Promise.all(fleet.mocks.map((mock) => mock.clearFaults())))
  afterAll(() => fleet.stop())

  let prompts = 0
  /** One that no cache and no earlier request knows. */
  const fresh = () => `Tell me of river number ${prompts++}.`

  /** The fault on both engines, for their next request each: the answer meets it wherever it goes, twice at most. */
  async function survives(fault: object): Promise<Asked> {
    const prompt = fresh()
    const expected = await quiet(fleet, prompt)
    for (const mock of fleet.mocks) await mock.fault({ count: 1, ...fault })
    const answer = await ask(fleet, prompt)
    expect(answer.status, answer.text).toBe(200)
    expect(said(answer)).toEqual(expected)
    expect(expected).toMatchObject({ ends: 1, errors: [] })
    return answer
  }

  it.each([
    ['refuses the connection, or resets it before headers', { fault: 'refuse' }],
    ['answers 503', { fault: 'error_503' }],
    ['answers 503 and says when to come again', { fault: 'error_503', retryAfterSeconds: 1 }],
    ['answers 429', { fault: 'error_429', retryAfterSeconds: 1 }],
    ['answers 500', { fault: 'error_500' }],
    ['says that the model is missing', { fault: 'error_404' }],
    ['hangs before headers', { fault: 'hang_before_headers' }],
    ['sends headers late, as after a cold load', { fault: 'late_headers', delayMs: 5_000 }],
    ['cuts the connection before the first token', { fault: 'cut_after_tokens', after: 0 }],
    ['cuts the connection after some tokens', { fault: 'cut_after_tokens', after: 9 }],
    ['sends a line that is none', { fault: 'corrupt_chunk', after: 7 }],
    ['falls silent after some tokens', { fault: 'hang_after_tokens', after: 5 }],
    ['runs out of memory after some tokens', { fault: 'oom', after: 5 }],
  ])('is whole, and byte for byte the same, when it %s', async (_what, fault) => {
    const answer = await survives(fault)
    expect(answer.headers.get('x-drover-instance')).toMatch(/^#\d+ http:\/\/127\.0\.0\.1:\d+$/)
  })

  it('waits out a burst of 503', async () => {
    const prompt = fresh()
    const expected = await quiet(fleet, prompt)
    for (const mock of fleet.mocks) await mock.fault({ fault: 'error_503', seconds: 3 })
    const answers = await Promise.all([ask(fleet, prompt), ask(fleet, fresh()), ask(fleet, fresh())])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(said(answers[0])).toEqual(expected)
  })

  it('is waited for when it is a cold load that takes longer than anything else', async () => {
    const cold = await startFleet({}, '--load-ms', '4000')
    const prompt = fresh()
    for (const mock of cold.mocks) expect((await mock.stats()).models[0]).toMatchObject({ loaded: true })
    expect(said(await ask(cold, prompt))).toEqual(await quiet(cold, prompt))
    await cold.stop()
  })

  it('of which one engine fails each second request is one of many that are all whole', async () => {
    for (const mock of fleet.mocks) await mock.fault({ fault: 'cut_after_tokens', after: 11, share: 0.5 })
    const asked = Array.from({ length: 16 }, fresh)
    const answers = await Promise.all(asked.map((prompt) => ask(fleet, prompt)))
    for (const mock of fleet.mocks) await mock.clearFaults()
    for (const [index, answer] of answers.entries()) {
      expect(said(answer), answer.text.slice(-300)).toEqual(await quiet(fleet, asked[index] ?? ''))
    }
  })

  it('has at least one engine that works, or is refused with the last reason', async () => {
    for (const mock of fleet.mocks) await mock.fault({ fault: 'error_500' })
    const { status, text } = await ask(fleet, fresh())
    expect(status).toBe(500)
    expect(JSON.parse(text).error).toContain('internal error')
  })
})

describe('an engine that always fails', () => {
  it('gets no more requests after five failures, and one probe when its breaker half-opens', async () => {
    const openMs = 4_000
    const fleet = await startFleet({ DROVER_BREAKER_OPEN: `${openMs}ms` })
    const [ill, well] = fleet.mocks
    if (!ill || !well) throw new Error('two engines were started')
    await ill.fault({ fault: 'error_500' })
    const asks = async (count: number) => {
      for (let index = 0; index < count; index++) {
        const answers = await Promise.all(['a', 'b', 'c'].map((one) => ask(fleet, `${one} ${index}`)))
        expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
      }
    }
    await until('the breaker opens', 20_000, async () => {
      await asks(1)
      return (await hitsOf(ill)) >= 5
    })
    const openedMs = performance.now()
    const before = await hitsOf(ill)
    // As many as were on their way there when it opened.
    expect(before).toBeLessThanOrEqual(5 + slots)
    await asks(2)
    expect(performance.now() - openedMs).toBeLessThan(openMs)
    expect(await hitsOf(ill)).toBe(before)
    const [{ instance, health } = { instance: 0, health: 1 }] = (
      await getJson<{ instances: { instance: number; health: number }[] }>(`${fleet.drover.url}/api/queue`)
    ).instances.filter((one) => one.health === 0)
    expect([instance > 0, health]).toEqual([true, 0])

    await new Promise((resolve) => setTimeout(resolve, openMs + 200 - (performance.now() - openedMs)))
    await asks(1)
    expect(await hitsOf(ill)).toBe(before + 1)
    await ill.clearFaults()
    await new Promise((resolve) => setTimeout(resolve, openMs + 200))
    const served = (await ill.stats()).completed
    await until('it is trusted again', 20_000, async () => {
      await asks(1)
      return (await ill.stats()).completed > served + 2
    })
    await fleet.stop()
  }, 90_000)
})

describe('requests on engines that are well', () => {
  let fleet: Fleet
  beforeAll(async () => {
    fleet = await startFleet({ OLLAMA_MAX_QUEUE: '4' }, '--answer-tokens', '5000')
  })
  afterAll(() => fleet.stop())

  /** Long answers on every slot while there is work; their clients leave at its end. */
  async function occupied(work: () => Promise<void>): Promise<void> {
    for (const mock of fleet.mocks) await mock.fault({ fault: 'slow', factor: 20 })
    const gone = new AbortController()
    const held = Array.from({ length: 2 * slots }, (_, index) =>
      ask(fleet, `Hold ${index}`, {}, {}, gone.signal).catch((error: Error) => error.name),
    )
    await until('all slots are taken', 5_000, async () =>
      (await queueOf(fleet)).instances.every(({ running }) => running === slots),
    )
    try {
      await work()
    } finally {
      gone.abort()
      for (const mock of fleet.mocks) await mock.clearFaults()
      await Promise.all(held)
    }
  }

  it('whose clients leave free their slots and places within a second', async () => {
    const gone = new AbortController()
    let waiting: Promise<unknown>[] = []
    let leftMs = 0
    await occupied(async () => {
      waiting = [1, 2].map((one) =>
        ask(fleet, `Wait ${one}`, {}, {}, gone.signal).catch((error: Error) => error.name),
      )
      await until('two wait', 5_000, async () => (await queueOf(fleet)).waiting === 2)
      gone.abort()
      leftMs = performance.now()
    })
    await until('nobody waits and nothing runs', 1_000, async () => {
      const { waiting: left, instances } = await queueOf(fleet)
      const stats = await Promise.all(fleet.mocks.map((mock) => mock.stats()))
      return left === 0 && [...instances, ...stats].every(({ running }) => running === 0)
    })
    expect(performance.now() - leftMs).toBeLessThan(1_000)
    expect(await Promise.all(waiting)).toEqual(['AbortError', 'AbortError'])
  })

  it('are told where they went, and why', async () => {
    const short = { options: { num_predict: 3 } }
    const { headers } = await ask(fleet, 'Why here?', short, { 'x-request-id': 'mine' })
    expect(headers.get('x-request-id')).toBe('mine')
    expect(headers.get('x-drover-route')).toMatch(/^predicted_finish .* ms; 1 of 2/)
    const url = `${fleet.drover.url}/api/route/explain?model=drover&prompt=${encodeURIComponent('Why there?')}`
    const explained = await getJson<{ candidates: { terms: object }[]; summary: string }>(url)
    expect(explained.candidates).toHaveLength(2)
    expect(explained.candidates[0]?.terms).toMatchObject({ slotWait: 0 })
    expect(explained.summary).toMatch(/^#\d+ is first by predicted_finish with .*; next is #\d+/)
  })

  it('are refused where too many wait, with when to come again', async () => {
    await occupied(async () => {
      const gone = new AbortController()
      const waiting = Array.from({ length: 4 }, (_, index) =>
        ask(fleet, `Wait ${index}`, {}, {}, gone.signal).catch((error: Error) => error.name),
      )
      await until('four wait', 5_000, async () => (await queueOf(fleet)).waiting === 4)
      const { status, text, headers } = await ask(fleet, 'one too many')
      expect([status, JSON.parse(text).error]).toEqual([503, expect.stringContaining('server busy')])
      expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
      gone.abort()
      expect(await Promise.all(waiting)).toEqual(Array(4).fill('AbortError'))
    })
  })

  it('give up at their deadline', async () => {
    await occupied(async () => {
      const startMs = performance.now()
      const { status, text } = await ask(fleet, 'at once', {}, { 'x-drover-deadline': '300ms' })
      expect(performance.now() - startMs).toBeGreaterThan(290)
      expect(performance.now() - startMs).toBeLessThan(2_000)
      expect(status).toBeGreaterThanOrEqual(500)
      expect(JSON.parse(text).error).toMatch(/deadline/)
    })
  })

  it('are served by their priority', async () => {
    const order: string[] = []
    await occupied(async () => {
      const waiting = ['bulk', 'default', 'interactive'].map((priority) =>
        ask(fleet, `As ${priority}`, { options: { num_predict: 2 } }, { 'x-drover-priority': priority }).then(
          () => order.push(priority),
        ),
      )
      await until('three wait', 5_000, async () => (await queueOf(fleet)).waiting === 3)
      for (const mock of fleet.mocks) await mock.clearFaults()
      await Promise.all(waiting)
    })
    expect(order).toEqual(['interactive', 'default', 'bulk'])
  })
})

describe('an engine that is slow now and then', () => {
  it('is helped by a second one, where that is wished', async () => {
    const fleet = await startFleet({ DROVER_HEDGE: 'true', DROVER_SILENCE_TIMEOUT: '0' })
    const [slow] = fleet.mocks
    if (!slow) throw new Error('two engines were started')
    const options = { num_predict: 3 }
    const hurried = (prompt: string) =>
      ask(fleet, prompt, { options }, { 'x-drover-priority': 'interactive' })
    const delayMs = 4_000
    const waits: number[] = []
    try {
      for (let round = 0; round < 4; round++) {
        // Second tries are one in fifty at most, and some are used up by what is late every day.
        for (let index = 0; index < 75; index++) await hurried(`Round ${round}, ${index}`)
        await slow.fault({ fault: 'late_headers', delayMs, count: 1 })
        while (await isOn(slow)) {
          const prompt = `After round ${round}, ${waits.length}`
          const startMs = performance.now()
          const answer = await hurried(prompt)
          waits.push(performance.now() - startMs)
          expect(said(answer)).toEqual(await quiet(fleet, prompt, { options }))
        }
      }
      const late = waits.filter((ms) => ms > delayMs)
      expect(late.length, `waits of ${waits.map(Math.round)} ms`).toBeLessThan(4)
    } finally {
      await fleet.stop()
    }
  }, 90_000)
})
