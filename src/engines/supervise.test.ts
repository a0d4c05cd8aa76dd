import { describe, expect, it, vi } from 'vitest'
import type { Clock } from '../core/index.ts'
import type { Engine, EngineEvent, EngineInstance, InstanceSpec } from './contract.ts'
import { superviseEngine } from './supervise.ts'

const hangTimeoutMs = 40

/** A clock whose seconds are short. */
const quick: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now() * 50,
  sleep: async () => undefined,
  after: (delayMs, action) => {
    const timer = setTimeout(action, delayMs / 50)
    return () => clearTimeout(timer)
  },
}

async function watched(ping: EngineInstance['ping'], events: AsyncIterable<EngineEvent> = none()) {
  const kill = vi.fn<(reason: string) => void>()
  const { promise: exited, resolve: end } = Promise.withResolvers<{ kind: 'closed'; reason: string }>()
  const instance = {
    exited,
    ping: vi.fn(ping),
    kill,
    generate: () => events,
  } as unknown as EngineInstance & { ping: ReturnType<typeof vi.fn> }
  const engine = { name: 'llama.cpp', probe: vi.fn(), launch: async () => instance } as unknown as Engine
  const supervised = superviseEngine(engine, { hangTimeoutMs, clock: quick })
  const running = await supervised.launch({} as InstanceSpec, new AbortController().signal)
  return { running, kill, ping: instance.ping, end: () => end({ kind: 'closed', reason: 'asked to' }) }
}

async function* none(): AsyncGenerator<EngineEvent> {
  yield* []
}

const silence = (signal: AbortSignal) =>
  new Promise<void>((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

describe('an instance that is watched', () => {
  it('is left alone while it answers', async () => {
    const { kill, ping, end } = await watched(async () => undefined)
    await vi.waitFor(() => expect(ping.mock.calls.length).toBeGreaterThan(5))
    expect(kill).not.toHaveBeenCalled()
    end()
  })

  it('is ended when it lives and does not answer, with how long', async () => {
    const { kill, end } = await watched(silence)
    await vi.waitFor(() => expect(kill).toHaveBeenCalledWith(expect.stringContaining('did not answer')))
    end()
  })

  it('is given a second chance', async () => {
    let asked = 0
    const { kill, ping, end } = await watched((signal) =>
      asked++ === 0 ? silence(signal) : Promise.resolve(),
    )
    await vi.waitFor(() => expect(ping.mock.calls.length).toBeGreaterThan(4))
    expect(kill).not.toHaveBeenCalled()
    end()
  })

  it('is ended when no way leads to it any more', async () => {
    const { kill, end } = await watched(() => Promise.reject(new Error('connect ENOENT')))
    await vi.waitFor(() => expect(kill).toHaveBeenCalledWith('it cannot be reached: connect ENOENT'))
    end()
  })

  it('is asked no more when it has ended', async () => {
    const { ping, end } = await watched(async () => undefined)
    await vi.waitFor(() => expect(ping).toHaveBeenCalled())
    end()
    await new Promise((resolve) => setTimeout(resolve, 30))
    const calls = ping.mock.calls.length
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(ping.mock.calls.length).toBe(calls)
  })

  it('is ended when it works for minutes without a token or any progress', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    async function* stuck(): AsyncGenerator<EngineEvent> {
      await promise
      yield* none()
    }
    const { running, kill, end } = await watched(async () => undefined, stuck())
    const reading = (async () => {
      for await (const _ of running.generate({} as never, new AbortController().signal)) break
    })()
    // Five minutes of this clock are six seconds.
    await vi.waitFor(() => expect(kill).toHaveBeenCalledWith(expect.stringMatching(/without a token/)), {
      timeout: 10_000,
    })
    resolve()
    await reading
    end()
  }, 15_000)

  it('is not watched at all where that is switched off', async () => {
    const engine = { name: 'llama.cpp', launch: async () => 'as it is' } as unknown as Engine
    const supervised = superviseEngine(engine, { hangTimeoutMs: Number.POSITIVE_INFINITY, clock: quick })
    expect(await supervised.launch({} as InstanceSpec, new AbortController().signal)).toBe('as it is')
  })
})
