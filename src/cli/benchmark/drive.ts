import { systemClock } from '../../core/index.ts'
import { createRandom, exponentialOf } from '../../simulation/index.ts'
import type { Load, Measured } from './contract.ts'
import { callFailure, isUnreachable } from './lines.ts'
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
 * one they are due at times that chance set before, and one that is sent late has waited since it was due. To a server
 * that has gone none is sent any more: then fewer come back.
 */
export async function drive(options: DriveOptions): Promise<Measured[]> {
  const { load, requests, seed, prompts, signal } = options
  const random = createRandom(seed)
  const measured: Measured[] = []
  let sent = 0
  const goesOn = () => sent < requests && !signal.aborted && measured.at(-1)?.unreachable !== true
  const send = async (arrivedMs: number) => {
    const prompt = prompts.next(options.promptTokens)
    const ask = { ...options.ask, prompt, seed: seed + sent++ }
    measured.push(await measure(options.server, ask, arrivedMs, signal))
    options.onAnswer(measured.length)
  }
  if (load.kind === 'closed') {
    const stream = async () => {
      while (goesOn()) await send(performance.now())
    }
    await Promise.all(Array.from({ length: load.concurrency }, stream))
  } else {
    const running: Promise<void>[] = []
    let dueMs = performance.now()
    while (goesOn()) {
      dueMs += exponentialOf(random, 1000 / load.perSecond)
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) await systemClock.sleep(waitMs, signal)
      running.push(send(dueMs))
    }
    await Promise.all(running)
  }
  signal.throwIfAborted()
  return measured.toSorted((a, b) => a.arrivedMs - b.arrivedMs)
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
      const { atMs } = piece
      if (piece.type === 'end') {
        one.promptTokens = piece.promptTokens
        one.outputTokens = piece.outputTokens
        one.endMs = atMs
        // A model may have nothing to say: then the end is the first sign of its answer.
        if (lastMs === 0) one.firstMs = atMs
        continue
      }
      if (lastMs === 0) one.firstMs = atMs
      else one.gapsMs.push(atMs - lastMs)
      lastMs = atMs
    }
  } catch (error) {
    one.endMs = performance.now()
    one.error = callFailure(error)
    if (isUnreachable(error)) one.unreachable = true
  }
  return one
}
