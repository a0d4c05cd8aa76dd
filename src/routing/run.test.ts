import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../core/index.ts'
import type { CompletionRequest, EngineEvent, EngineInstance } from '../engines/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Lease, LeaseEnd } from './pool/index.ts'
import { type Run, type RunOptions, startRun } from './run.ts'

/** The answer is a function of all tokens before, as a model's is at temperature 0. */
const nextToken = (tokens: readonly number[]) =>
  (tokens.reduce((hash, token) => (hash * 31 + token + 7) % 9973, 1) % 89) + 1

/** What an instance does after so many tokens of its own: it dies, fails, or leaves. */
interface Fate {
  after: number
  with: 'crash' | 'failure' | 'busy' | 'leave' | 'silence'
}

const errors = {
  crash: () => new DroverError('engine_crashed', 'gone'),
  failure: () => new DroverError('engine_failed', 'a corrupt chunk'),
  busy: () => new DroverError('busy', 'server busy', { retryAfterMs: 1 }),
}

/** Rejects once the signal aborts. */
const until = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

interface Scripted {
  instance: EngineInstance
  leave: AbortController
  asked: CompletionRequest[]
}

function scripted(fate: Fate | undefined): Scripted {
  const leave = new AbortController()
  const asked: CompletionRequest[] = []
  async function* generate(request: CompletionRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    asked.push(request)
    const prompt = typeof request.prompt === 'string' ? tokenize(request.prompt) : request.prompt
    const tokens = [...prompt]
    for (let count = 0; count < request.maxTokens; count++) {
      if (fate && count === fate.after) {
        if (fate.with === 'silence') await until(signal)
        else if (fate.with === 'leave') leave.abort(new DroverError('engine_unavailable', 'leaving'))
        else throw errors[fate.with]()
      }
      signal.throwIfAborted()
      const token = nextToken(tokens)
      tokens.push(token)
      yield { type: 'token', text: `<${token}>`, tokens: [token] }
    }
    const usage = {
      promptTokens: prompt.length,
      cachedTokens: 0,
      outputTokens: request.maxTokens,
      promptMs: 1,
      outputMs: 1,
    }
    yield { type: 'done', reason: 'length', usage }
  }
  const instance = { contextLength, generate, tokenize: async (text: string) => tokenize(text) }
  return { instance: instance as unknown as EngineInstance, leave, asked }
}

const contextLength = 60

const tokenize = (text: string) => [...text].map((letter) => letter.charCodeAt(0))

/** A run over instances with these fates, one after the other; the last one is well. */
async function runOver(
  fates: (Fate | undefined)[],
  options: Partial<RunOptions> = {},
  refuses: (avoid: ReadonlySet<number>) => boolean = () => false,
) {
  const instances = [...fates, undefined].map(scripted)
  const ends: { id: number; end: LeaseEnd | undefined }[] = []
  const avoided: number[][] = []
  const rescued: number[] = []
  let next = 0
  const run = await startRun({
    acquire: async (avoid) => {
      avoided.push([...avoid])
      if (refuses(avoid)) throw new DroverError('engine_unavailable', 'no instance may take it')
      const id = next
      const one = instances[Math.min(next++, instances.length - 1)] as Scripted
      return {
        entryId: id,
        instance: one.instance,
        queued: { ms: 0, position: 0 },
        leaving: one.leave.signal,
        firstToken: () => undefined,
        tokens: () => undefined,
        cacheShrunk: () => undefined,
        release: (end) => void ends.push({ id, end }),
      } satisfies Lease
    },
    hasOther: () => true,
    prepare: async () => undefined,
    rescue: async (lease) => void rescued.push(lease.entryId),
    moved: () => undefined,
    retries: { deposit: () => undefined, withdraw: () => true, backoffMs: () => 0 },
    clock: systemClock,
    random: Math.random,
    signal: new AbortController().signal,
    ...options,
  })
  return { run, ends, avoided, rescued, instances }
}

const completion = (maxTokens: number, prompt: string | number[] = 'hello'): CompletionRequest => ({
  prompt,
  maxTokens,
  stop: [],
  sampling: { num_keep: 2 } as CompletionRequest['sampling'],
})

async function wholeAnswer(run: Run, request: CompletionRequest) {
  let text = ''
  const tokens: number[] = []
  let done: (EngineEvent & { type: 'done' }) | undefined
  for await (const event of run.generate(request, new AbortController().signal)) {
    if (event.type === 'token') {
      text += event.text
      tokens.push(...event.tokens)
    } else if (event.type === 'done') {
      expect(done).toBeUndefined()
      done = event
    }
  }
  return { text, tokens, done }
}

async function quietAnswer(request: CompletionRequest) {
  return wholeAnswer((await runOver([])).run, request)
}

describe('an answer whose instances die under it', () => {
  it('goes on elsewhere without a lost or a doubled token', async () => {
    const { run, ends, avoided } = await runOver([{ after: 3, with: 'crash' }])
    const answer = await wholeAnswer(run, completion(10))
    const quiet = await quietAnswer(completion(10))
    expect(answer.text).toBe(quiet.text)
    expect(answer.done?.usage).toMatchObject({ promptTokens: 5, outputTokens: 10 })
    expect(ends).toEqual([{ id: 0, end: { outcome: 'failed' } }])
    expect(avoided).toEqual([[], [0]])
  })

  it('is the same wherever, however and however often it is cut', async () => {
    const fate = fc.record({
      after: fc.nat(12),
      with: fc.constantFrom<Fate['with']>('crash', 'failure', 'busy', 'leave'),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(fate, { maxLength: 3 }),
        fc.integer({ min: 1, max: 30 }),
        async (fates, count) => {
          const { run } = await runOver(fates)
          const answer = await wholeAnswer(run, completion(count))
          const quiet = await quietAnswer(completion(count))
          expect(answer.tokens).toEqual(quiet.tokens)
          expect(answer.text).toBe(quiet.text)
          expect(answer.done?.usage.outputTokens).toBe(count)
        },
      ),
      { numRuns: 300 },
    )
  })

  it('tells the next instance what has been said, and how much may be said yet', async () => {
    const { run, instances } = await runOver([{ after: 4, with: 'crash' }])
    const { tokens } = await wholeAnswer(run, { ...completion(10), format: 'json' })
    const [second] = instances[1]?.asked ?? []
    expect(second?.prompt).toEqual([...tokenize('hello'), ...tokens.slice(0, 4)])
    expect(second?.maxTokens).toBe(6)
    expect(second?.formatPrefix).toBe(
      tokens
        .slice(0, 4)
        .map((token) => `<${token}>`)
        .join(''),
    )
  })

  it('counts the tokens that were sampled, where others make the same text', async () => {
    const { run, instances } = await runOver([{ after: 0, with: 'crash' }])
    const broken = instances[0]?.instance as { generate: EngineInstance['generate'] }
    broken.generate = async function* () {
      yield { type: 'token', text: '<5>', tokens: [5], guessed: true, sampled: 3 }
      throw errors.crash()
    }
    const { done } = await wholeAnswer(run, completion(10))
    expect(instances[1]?.asked[0]).toMatchObject({ prompt: [...tokenize('hello'), 5], maxTokens: 7 })
    // The second instance saw one token of the answer in its prompt, and so did not compute it.
    expect(done?.usage).toMatchObject({ promptTokens: 5, outputTokens: 10 })
  })

  it('goes on without its middle once it has outgrown the context', async () => {
    const { run, instances } = await runOver([{ after: 70, with: 'crash' }])
    const { tokens } = await wholeAnswer(run, completion(80))
    const [second] = instances[1]?.asked ?? []
    expect(second?.prompt).toEqual([...tokenize('he'), ...tokens.slice(42, 70)])
    expect(second?.maxTokens).toBe(10)
    expect(tokens).toHaveLength(80)
  })

  it('ends where its instance died after the last token that was wanted', async () => {
    const dying = scripted({ after: 4, with: 'crash' })
    const { run } = await runOver([{ after: 4, with: 'crash' }])
    expect(dying.asked).toEqual([])
    const answer = await wholeAnswer(run, completion(4))
    expect(answer.tokens).toHaveLength(4)
    expect(answer.done?.reason).toBe('length')
  })

  it('keeps what its instance has computed when that leaves, and blames nobody', async () => {
    const { run, ends, rescued } = await runOver([{ after: 2, with: 'leave' }])
    await wholeAnswer(run, completion(5))
    expect(rescued).toEqual([0])
    expect(ends).toEqual([{ id: 0, end: { outcome: 'withdrawn' } }])
  })

  it('fails when one instance after the other dies without a single token', async () => {
    const dead: Fate = { after: 0, with: 'crash' }
    const { run } = await runOver([dead, dead, dead, dead, dead, dead])
    await expect(wholeAnswer(run, completion(5))).rejects.toThrow('gone')
  })

  it('does not fail over because the request is wrong', async () => {
    const { run, avoided } = await runOver([])
    const wrong = run.call(async () => {
      throw new DroverError('invalid_request', 'no')
    })
    await expect(wrong).rejects.toThrow('no')
    expect(avoided).toHaveLength(1)
  })

  it('asks the only instance again after a passing failure, and has it replaced after its end', async () => {
    const passing = await runOver([{ after: 1, with: 'failure' }], { hasOther: () => false })
    const { text } = await wholeAnswer(passing.run, completion(6))
    expect(text).toBe((await quietAnswer(completion(6))).text)
    expect(passing.avoided).toEqual([[], []])
    const dead = await runOver([{ after: 1, with: 'crash' }])
    await wholeAnswer(dead.run, completion(6))
    expect(dead.avoided).toEqual([[], [0]])
  })

  it('is patient with those who are busy, and blames nobody for it', async () => {
    const busy: Fate = { after: 0, with: 'busy' }
    const retries = { deposit: () => undefined, withdraw: () => false, backoffMs: () => 0 }
    const { run, ends } = await runOver(Array(9).fill(busy), { retries, hasOther: () => false })
    const { text } = await wholeAnswer(run, completion(6))
    expect(text).toBe((await quietAnswer(completion(6))).text)
    expect(ends.map(({ end }) => end?.outcome)).toEqual(Array(9).fill('withdrawn'))
  })

  it('gives up on those who are busy for too long, and says when to come again', async () => {
    const busy: Fate = { after: 0, with: 'busy' }
    const sleeps: number[] = []
    const start = 1_000_000
    const nowMs = () => start + sleeps.reduce((sum, ms) => sum + ms, 0)
    const clock = {
      ...systemClock,
      now: nowMs,
      sleep: async (ms: number) => void sleeps.push(ms * 5_000),
    }
    const { run } = await runOver(Array(20).fill(busy), { clock, hasOther: () => false })
    await expect(wholeAnswer(run, completion(6))).rejects.toMatchObject({ code: 'busy', retryAfterMs: 1 })
    expect(nowMs() - start).toBeLessThanOrEqual(35_000)
  })

  it('takes up those again that it has failed on when no other may have it', async () => {
    const { run, avoided } = await runOver([{ after: 1, with: 'failure' }], {}, (avoid) => avoid.size > 0)
    const { text } = await wholeAnswer(run, completion(6))
    expect(text).toBe((await quietAnswer(completion(6))).text)
    expect(avoided).toEqual([[], [0], []])
  })

  it('goes on elsewhere when nothing comes for too long, and waits where there is nobody else', async () => {
    const silent: Fate = { after: 3, with: 'silence' }
    const { run, ends } = await runOver([silent], { silenceMs: 40 })
    const quiet = await quietAnswer(completion(8))
    expect((await wholeAnswer(run, completion(8))).text).toBe(quiet.text)
    expect(ends).toEqual([{ id: 0, end: { outcome: 'failed' } }])

    let others = false
    const alone = await runOver([silent], { silenceMs: 40, hasOther: () => others })
    const answer = wholeAnswer(alone.run, completion(8))
    await systemClock.sleep(120)
    expect(alone.ends).toEqual([])
    others = true
    expect((await answer).text).toBe(quiet.text)
  })

  it('stops trying when the budget of retries is spent', async () => {
    const dead: Fate = { after: 0, with: 'failure' }
    const retries = { deposit: () => undefined, withdraw: () => false, backoffMs: () => 0 }
    const { run, avoided } = await runOver([dead, dead, dead], { retries })
    await expect(wholeAnswer(run, completion(5))).rejects.toThrow('corrupt')
    // The first try elsewhere costs nothing of it.
    expect(avoided).toHaveLength(2)
  })

  it('ends with the client', async () => {
    const client = new AbortController()
    const { run, avoided } = await runOver([], { signal: client.signal })
    const answer = run.generate(completion(5), client.signal)
    await answer.next()
    client.abort(new DroverError('cancelled', 'the client left'))
    await expect(answer.next()).rejects.toThrow('the client left')
    expect(avoided).toHaveLength(1)
  })
})
