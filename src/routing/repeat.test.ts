import { describe, expect, it } from 'vitest'
import { systemClock } from '../core/index.ts'
import {
  DroverError,
  type GenerateRequest,
  type InferenceEvent,
  type ModelOptions,
  type RouteReport,
} from '../inference/index.ts'
import { createJoiner, createResponseCache } from './batching/index.ts'
import { createRepeater, type RepeatOf } from './repeat.ts'
import type { ResolvedModel } from './resolve.ts'
import { rest } from './testing/virtual-clock.ts'

const usage = { promptTokens: 3, cachedTokens: 0, outputTokens: 2, promptMs: 1, outputMs: 1 }
const done: InferenceEvent = { type: 'done', reason: 'stop', usage, totalMs: 1, loadMs: 0 }
const report: RouteReport = {
  instance: '#1 gpu0',
  policy: 'predicted_finish',
  reason: '1 of 1',
  queuedMs: 5,
  queuePosition: 0,
  moves: 0,
}

const joiner = () => createJoiner({ maxRunBytes: 2 ** 20, maxTotalBytes: 2 ** 22 })
const cache = () => createResponseCache({ maxBytes: 2 ** 20, ttlMs: 60_000, clock: systemClock })

const greedy: ModelOptions = { temperature: 0 }

function ofRequest(changes: Partial<GenerateRequest> = {}, options = greedy): RepeatOf {
  const request: GenerateRequest = { kind: 'generate', model: 'llama', prompt: 'hello', options, ...changes }
  const model = { key: 'blob', description: { stored: { digest: 'sha256:1' } } } as unknown as ResolvedModel
  const rendered = { text: request.prompt, images: [] } as unknown as NonNullable<RepeatOf['rendered']>
  return { request, model, options, rendered }
}

/** Answers that are computed when they are let; each says its number. */
function bench(parts: Parameters<typeof createRepeater>[0]) {
  const answer = createRepeater(parts)
  let opened = 0
  const aborted: number[] = []
  const gates = { slot: Promise.withResolvers<void>(), answer: Promise.withResolvers<void>() }

  function ask(of: RepeatOf, signal = new AbortController().signal) {
    const reports: RouteReport[] = []
    const texts: string[] = []
    const events = answer(
      of,
      async function* (shared, routed) {
        const number = ++opened
        shared.addEventListener('abort', () => void aborted.push(number))
        await gates.slot.promise
        routed(report)
        await gates.answer.promise
        yield { type: 'token', text: `answer ${number}` }
        yield done
      },
      signal,
      (told) => void reports.push(told),
    )
    const whole = (async () => {
      for await (const event of events) texts.push(event.type === 'token' ? event.text : event.type)
      return texts
    })()
    return { whole, reports, texts }
  }

  return {
    ask,
    aborted,
    opened: () => opened,
    slot: async () => {
      gates.slot.resolve()
      await rest()
    },
    finish: () => {
      gates.slot.resolve()
      gates.answer.resolve()
    },
    fail: (error: DroverError) => {
      gates.slot.resolve()
      gates.answer.reject(error)
    },
  }
}

describe('equal requests under way together', () => {
  it('are computed once, and each is told where', async () => {
    const one = bench({ joiner: joiner() })
    const first = one.ask(ofRequest())
    await one.slot()
    const second = one.ask(ofRequest())
    await rest()
    one.finish()
    expect(await Promise.all([first.whole, second.whole])).toEqual(Array(2).fill(['answer 1', 'done']))
    expect(one.opened()).toBe(1)
    expect(first.reports).toEqual([report])
    expect(second.reports).toEqual([{ ...report, reason: 'joined an equal request; 1 of 1' }])
  })

  it('are told where also when the first had to wait for its instance', async () => {
    const one = bench({ joiner: joiner() })
    const asked = [one.ask(ofRequest()), one.ask(ofRequest()), one.ask(ofRequest())]
    await rest()
    expect(asked.map(({ reports }) => reports)).toEqual([[], [], []])
    one.finish()
    await Promise.all(asked.map(({ whole }) => whole))
    expect(one.opened()).toBe(1)
    const [first, ...others] = asked.map(({ reports }) => reports)
    expect(first).toEqual([report])
    for (const reports of others) {
      expect(reports).toEqual([{ ...report, reason: 'joined an equal request; 1 of 1' }])
    }
  })

  it('go on when the one that began leaves, and end when all have left', async () => {
    const one = bench({ joiner: joiner() })
    const [leader, follower] = [new AbortController(), new AbortController()]
    const first = one.ask(ofRequest(), leader.signal)
    const second = one.ask(ofRequest(), follower.signal)
    const ends = Promise.allSettled([first.whole, second.whole])
    await one.slot()
    leader.abort(new DroverError('cancelled', 'the client left'))
    await rest()
    expect(one.aborted).toEqual([])
    follower.abort(new DroverError('cancelled', 'the client left'))
    await rest()
    expect(one.aborted).toEqual([1])
    one.finish()
    expect((await ends).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
  })

  it('all hear of an error, and nothing of it is kept', async () => {
    const kept = cache()
    const one = bench({ joiner: joiner(), cache: kept })
    const asked = [one.ask(ofRequest()), one.ask(ofRequest())]
    const ends = Promise.allSettled(asked.map(({ whole }) => whole))
    await rest()
    one.fail(new DroverError('load_failed', 'bad magic'))
    expect((await ends).map((end) => end.status === 'rejected' && end.reason.message)).toEqual(
      Array(2).fill('bad magic'),
    )
    expect(kept.stats().answers).toBe(0)
  })
})

describe('a request is computed alone', () => {
  const routed = (routing: GenerateRequest['routing']) => ofRequest({ routing: routing ?? {} })
  it.each<[string, RepeatOf, RepeatOf]>([
    ['of another tenant', routed({ tenant: 'ada' }), routed({ tenant: 'bob' })],
    ['of another priority', routed({ priority: 'bulk' }), routed({ priority: 'interactive' })],
    ['that wants another policy', routed({}), routed({ policy: 'round_robin' })],
    ['pinned elsewhere', routed({ pins: ['gpu0'] }), routed({ pins: ['gpu1'] })],
    ['with needs of its own', routed({ labels: { rack: 'a' } }), routed({ labels: { rack: 'b' } })],
    ['that has another text', ofRequest(), ofRequest({ prompt: 'hello!' })],
    ['with other options', ofRequest(), ofRequest({}, { temperature: 0, num_predict: 5 })],
    ['that keeps the model for another while', ofRequest(), ofRequest({ keepAliveMs: 0 })],
    ['with a deadline', routed({ deadlineInMs: 100 }), routed({ deadlineInMs: 100 })],
    ['without one, beside one that has', routed({ deadlineInMs: 100 }), routed({})],
    ['whose answer is not certain', ofRequest({}, {}), ofRequest({}, {})],
    ['about the engine', ofRequest({ logprobs: true }), ofRequest({ logprobs: true })],
  ])('%s', async (_name, left, right) => {
    const one = bench({ joiner: joiner() })
    const asked = [one.ask(left), one.ask(right)]
    await rest()
    expect(one.opened()).toBe(2)
    one.finish()
    expect((await Promise.all(asked.map(({ whole }) => whole))).flat().sort()).toEqual([
      'answer 1',
      'answer 2',
      'done',
      'done',
    ])
    expect(asked.map(({ reports }) => reports)).toEqual([[report], [report]])
  })

  it('whose text only an engine knows', async () => {
    const { rendered: _, ...unknown } = ofRequest()
    const one = bench({ joiner: joiner(), cache: cache() })
    const asked = [one.ask(unknown), one.ask(unknown)]
    await rest()
    expect(one.opened()).toBe(2)
    one.finish()
    await Promise.all(asked.map(({ whole }) => whole))
  })

  it('where nothing is joined or kept', async () => {
    const one = bench({})
    const asked = [one.ask(ofRequest()), one.ask(ofRequest())]
    one.finish()
    await Promise.all(asked.map(({ whole }) => whole))
    expect(one.opened()).toBe(2)
  })
})

describe('an answer that was given before', () => {
  it('is given again, joined or not, in any session and by any deadline', async () => {
    for (const parts of [{ cache: cache() }, { cache: cache(), joiner: joiner() }]) {
      const one = bench(parts)
      one.finish()
      await one.ask(ofRequest()).whole
      const again = one.ask(ofRequest({ routing: { session: 's', deadlineInMs: 10 } }))
      expect(await again.whole).toEqual(['answer 1', 'done'])
      expect(again.reports).toMatchObject([{ instance: 'none', policy: 'response_cache', moves: 0 }])
      expect(one.opened()).toBe(1)
    }
  })

  it('is not given to another tenant', async () => {
    const one = bench({ cache: cache() })
    one.finish()
    await one.ask(ofRequest({ routing: { tenant: 'ada' } })).whole
    expect(await one.ask(ofRequest({ routing: { tenant: 'bob' } })).whole).toEqual(['answer 2', 'done'])
  })
})
