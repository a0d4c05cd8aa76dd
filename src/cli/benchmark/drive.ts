import { createRandom, exponentialOf } from '../../simulation/index.ts'
import { messageOf } from '../errors.ts'
import type { Load, Measured } from './contract.ts'
import type { PromptMaker } from './prompts.ts'
import type { Ask, Server } from './server.ts'

export interface DriveOptions {
  server: Server
  load: Load
  requests: number
  promptTokens: number
  ask: Omit<Ask, 'prompt' | 'seed'>
  prompts: PromptMaker
  seed: number
  signal: AbortSignal
  onAnswer(done: number): void
}

/**
 * Sends so many requests, and measures each. In a closed loop the next one goes out when one is answered; in an open
 * one they are due at times that chance set before, and one that is sent late has waited since it was due.
 */
export async function drive(options: DriveOptions): Promise<Measured[]> {
  const { load, requests, seed } = options
  const random = createRandom(seed)
  const asks = Array.from({ length: requests }, () => ({
    prompt: options.prompts.next(options.promptTokens),
    seed: Math.floor(random() * 2 ** 31),
  }))
  const measured: Measured[] = []
  const send = async (index: number, arrivedMs: number) => {
    const { prompt = '', seed: own = 0 } = asks[index] ?? {}
    const one = await measure(
      options.server,
      { ...options.ask, prompt, seed: own },
      arrivedMs,
      options.signal,
    )
    measured.push(one)
    options.onAnswer(measured.length)
  }
  if (load.kind === 'closed') {
    let next = 0
    const stream = async () => {
      while (next < requests && !options.signal.aborted) await send(next++, performance.now())
    }
    await Promise.all(Array.from({ length: load.concurrency }, stream))
  } else {
    let dueMs = performance.now()
    const sent: Promise<void>[] = []
    for (let index = 0; index < requests && !options.signal.aborted; index++) {
      dueMs += exponentialOf(random, 1000 / load.perSecond)
      await until(dueMs)
      sent.push(send(index, dueMs))
    }
    await Promise.all(sent)
  }
  options.signal.throwIfAborted()
  return measured.toSorted((a, b) => a.arrivedMs - b.arrivedMs)
}

async function until(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now()
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs))
}

/** One request. What goes wrong is its result, not an error. */
export async function measure(
  server: Server,
  ask: Ask,
  arrivedMs: number,
  signal: AbortSignal,
): Promise<Measured> {
  const one: Measured = { arrivedMs, firstMs: 0, endMs: 0, gapsMs: [], promptTokens: 0, outputTokens: 0 }
  let lastMs = 0
  try {
    for await (const piece of server.ask(ask, signal)) {
      const nowMs = performance.now()
      if (piece.type === 'end') {
        one.promptTokens = piece.promptTokens
        one.outputTokens = piece.outputTokens
        one.endMs = nowMs
        // A model may have nothing to say: then the end is the first sign of its answer.
        if (lastMs === 0) one.firstMs = nowMs
        continue
      }
      if (lastMs === 0) one.firstMs = nowMs
      else one.gapsMs.push(nowMs - lastMs)
      lastMs = nowMs
    }
  } catch (error) {
    one.endMs = performance.now()
    one.error = messageOf(error)
  }
  return one
}
