import type { Piece } from '../answer.ts'
import type { MockCore } from '../core.ts'
import type { MockModel, Work } from '../model.ts'
import { Refusal } from '../refusal.ts'
import type { Progress } from '../run.ts'
import { aborted, BrokenOff, type Call } from './call.ts'

/** How a dialect writes an answer as it comes. */
export interface StreamShape {
  contentType: string
  /** The prompt is being computed; absent says nothing of it. */
  prefill?: (progress: Progress) => string
  /** A piece of text that is the answer's `count`-th token. */
  piece(piece: Piece, progress: Progress, count: number): string
  end(progress: Progress): string
  /** A frame that no parser takes. */
  malformed: string
}

/** How a dialect writes a whole answer. */
export type WholeShape = (progress: Progress) => string

/** Another model's words, for the fault `wrong_model`. */
const otherSeed = 0x5bd1e995

/** Runs the work and writes its answer: piece by piece, or whole where the shape is a function. */
export async function respond(
  core: MockCore,
  call: Call,
  model: MockModel,
  work: Work,
  shape: StreamShape | WholeShape,
): Promise<void> {
  const seed = (work.seed ?? 0) ^ (call.faults.wrongModel === undefined ? 0 : otherSeed)
  const run = model.run({ ...work, seed }, call.signal)
  return typeof shape === 'function' ? whole(core, call, run, shape) : stream(core, call, run, shape)
}

async function stream(
  core: MockCore,
  call: Call,
  run: AsyncIterable<Progress>,
  shape: StreamShape,
): Promise<void> {
  let fault = call.faults.within
  let sent = 0
  for await (const progress of run) {
    const { pieces } = progress.answer
    let text = sent === 0 && shape.prefill ? shape.prefill(progress) : ''
    const add = (until: number) => {
      for (; sent < until; sent++) {
        const piece = pieces[sent]
        if (piece && piece.text !== '') text += shape.piece(piece, progress, sent + 1)
      }
    }
    if (fault && isDue(fault, progress)) {
      add(Math.min(fault.after, progress.produced))
      if (fault.fault === 'corrupt_chunk') text += shape.malformed
      else {
        await write(call, shape.contentType, text)
        await strike(core, call, fault.fault)
      }
      fault = undefined
    }
    if (!fault) add(progress.produced)
    else add(Math.min(fault.after, progress.produced))
    if (progress.done) text += shape.end(progress)
    await write(call, shape.contentType, text)
  }
  call.raw.end()
}

/** When the token is due that is not to come, so that those before have gone out; an answer that ends before, at its end. */
function isDue({ after }: { after: number }, { produced, done }: Progress): boolean {
  return produced > after || done
}

async function whole(
  core: MockCore,
  call: Call,
  run: AsyncIterable<Progress>,
  shape: WholeShape,
): Promise<void> {
  const { within: fault } = call.faults
  for await (const progress of run) {
    if (fault && fault.fault !== 'corrupt_chunk' && isDue(fault, progress))
      await strike(core, call, fault.fault)
    if (!progress.done) continue
    const text = shape(progress)
    sendJson(call, fault ? text.slice(0, Math.floor(text.length / 2)) : text)
  }
}

/** Answers with JSON. */
export function sendJson({ raw }: Call, text: string): void {
  raw.writeHead(200, { 'content-type': 'application/json; charset=utf-8' }).end(text)
}

/** A reset takes what is still on its way with it; so long the tokens before it may travel. */
const graceMs = 20

/** What breaks an answer at this moment: nothing comes after it on this connection. */
async function strike(
  core: MockCore,
  call: Call,
  fault: 'hang_after_tokens' | 'cut_after_tokens' | 'oom' | 'crash',
): Promise<never> {
  switch (fault) {
    case 'hang_after_tokens':
      return aborted(call.signal)
    case 'oom':
      throw new Refusal(500, call.dialect.outOfMemory)
    case 'crash':
      await core.settings.clock.sleep(graceMs, call.signal)
      core.crash()
      throw new BrokenOff(fault)
    case 'cut_after_tokens':
      await core.settings.clock.sleep(graceMs, call.signal)
      call.raw.socket?.resetAndDestroy()
      throw new BrokenOff(fault)
  }
}

/** Writes, and waits while the client does not read. The headers go with the first text. */
async function write({ raw, signal }: Call, contentType: string, text: string): Promise<void> {
  if (text === '') return
  if (!raw.headersSent) raw.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-cache' })
  if (raw.write(text)) return
  await new Promise<void>((resolve, reject) => {
    const leave = () => {
      raw.off('drain', onDrain)
      signal.removeEventListener('abort', onAbort)
    }
    const onDrain = () => {
      leave()
      resolve()
    }
    const onAbort = () => {
      leave()
      reject(signal.reason)
    }
    raw.once('drain', onDrain)
    signal.addEventListener('abort', onAbort, { once: true })
  })
}
