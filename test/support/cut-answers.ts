import type { DeviceReport } from '../../src/api/index.ts'
import { getJson, isAlive, post, type TestDrover, until } from './drover.ts'

let asked = 0

/** How long an engine runs at a time while an answer is watched: a small model says a word or two. */
const stepMs = 1
/** After that Drover has passed on what the engine said. */
const settleMs = 30
const mostTries = 8
/** Steps after which an answer should have come to the next point. */
const mostSteps = 1_000

export interface Ask {
  path: string
  body: { model: string; stream?: boolean } & Record<string, unknown>
}

/** An answer, as it came over the wire. */
export interface Answered {
  status: number
  text: string
  headers: Headers
  /** How often it went on elsewhere, by the access log. */
  moves: number
}

export interface Running {
  model: string
  pid: number
  running: number
}

/** The model's instances that take requests. */
export async function instancesOf(drover: TestDrover, model: string): Promise<Running[]> {
  const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
  const ready = devices.flatMap(({ instances }) =>
    instances.filter((one) => one.state === 'ready' && one.model === `${model}:latest`),
  )
  return ready.map(({ pid, running }) => ({ model, pid, running }))
}

/** Has so many instances of a model loaded, by more requests at once than they take, and waits until all are idle. */
export async function haveInstances(
  drover: TestDrover,
  { model, input }: Ask['body'],
  count: number,
): Promise<void> {
  const ask = (text: string) =>
    input === undefined
      ? post(`${drover.url}/api/generate`, { model, prompt: text, options: { num_predict: 8 } })
      : post(`${drover.url}/api/embed`, { model, input: text.repeat(50) })
  await until(`${count} instances of ${model} are idle`, 60_000, async () => {
    const all = await instancesOf(drover, model)
    if (all.length === count && all.every(({ running }) => running === 0)) return true
    const texts = Array.from({ length: count + 1 }, (_, index) => `Round ${asked++}, question ${index}`)
    if (all.length < count) await Promise.all(texts.map(ask))
    return false
  })
}

/** Asks, and lets the answer come as it will. */
export async function askQuietly(drover: TestDrover, ask: Ask): Promise<Answered> {
  const answer = begin(drover, ask)
  await answer.over
  return answer.whole()
}

/** What befalls the instance that answers. Its engine, and all others that run then, stand still meanwhile. */
export type Blow = (answering: Running, drover: TestDrover) => Promise<void>

/** `kill -9`. */
export const killed: Blow = async ({ pid, model }, drover) => {
  process.kill(pid, 'SIGKILL')
  await until('the end is noticed', 10_000, async () => {
    return !(await instancesOf(drover, model)).some((one) => one.pid === pid)
  })
}

/**
 * Asks, and deals the instance that is answering a blow each time so many pieces (lines of a stream; of an answer that
 * comes whole, steps) have come; 0 is before the first. The engines run a moment at a time, so each point is met: then
 * everything that the engine said has been passed on, and it had more to say.
 */
export async function askAndStrike(
  drover: TestDrover,
  ask: Ask,
  blow: Blow,
  points: readonly number[],
): Promise<Answered> {
  for (let tries = 0; tries < mostTries; tries++) {
    await haveInstances(drover, ask.body, 2)
    // Steps take a time: a fast machine says more in each.
    const sooner =
      ask.body.stream === false ? points.map((point) => Math.floor(point * 0.8 ** tries)) : points
    const answer = await tryToStrike(drover, ask, blow, sooner)
    if (answer) return answer
  }
  throw new Error(`the answer was always whole before its pieces ${points}`)
}

/** Undefined where an engine finished the answer before anybody could stop it: it had nothing left to go on with. */
async function tryToStrike(
  drover: TestDrover,
  ask: Ask,
  blow: Blow,
  points: readonly number[],
): Promise<Answered | undefined> {
  const { model } = ask.body
  const stopped = new Set((await instancesOf(drover, model)).map(({ pid }) => pid))
  try {
    for (const pid of stopped) signal(pid, 'SIGSTOP')
    const answer = begin(drover, ask)
    let steps = 0
    for (const point of points) {
      const reached = () => (ask.body.stream === false ? steps : answer.pieces()) >= point
      for (;;) {
        if (answer.isOver()) return undefined
        const all = await instancesOf(drover, model)
        // A successor joins in.
        for (const { pid } of all) {
          if (!stopped.has(pid)) signal(pid, 'SIGSTOP')
          stopped.add(pid)
        }
        const answering = all.find(({ running }) => running > 0)
        if (answering && reached()) {
          await blow(answering, drover)
          break
        }
        if (++steps > mostSteps) throw new Error(`no answer came to its piece ${point}`)
        for (const pid of stopped) signal(pid, 'SIGCONT')
        await sleep(stepMs)
        for (const pid of stopped) signal(pid, 'SIGSTOP')
        await sleep(settleMs)
      }
    }
    for (const pid of stopped) signal(pid, 'SIGCONT')
    await answer.over
    const whole = await answer.whole()
    // Vectors are asked for in parts, which move by themselves and are not counted.
    return whole.moves < points.length && ask.body['input'] === undefined ? undefined : whole
  } finally {
    for (const pid of stopped) signal(pid, 'SIGCONT')
  }
}

function begin(drover: TestDrover, { path, body }: Ask) {
  const id = `cut-${process.pid}-${asked++}`
  let text = ''
  let isOver = false
  let response: Response | undefined
  const read = async () => {
    response = await fetch(drover.url + path, {
      method: 'POST',
      headers: { 'x-request-id': id },
      body: JSON.stringify(body),
    })
    const decoder = new TextDecoder()
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true })
  }
  const over = read().finally(() => {
    isOver = true
  })
  // Whoever awaits it hears of its failure; until then nobody does.
  over.catch(() => undefined)
  return {
    over,
    isOver: () => isOver,
    pieces: () => text.split('\n').filter((line) => line !== '').length,
    async whole(): Promise<Answered> {
      if (!response) throw new Error('there was no answer')
      const { status, headers } = response
      return { status, text, headers, moves: await movesOf(drover, id) }
    },
  }
}

async function movesOf(drover: TestDrover, id: string): Promise<number> {
  const line = () =>
    drover
      .output()
      .split('\n')
      .find((one) => one.includes(`"id":"${id}"`))
  await until(`the access log tells of ${id}`, 5_000, () => line() !== undefined)
  return (JSON.parse(line() ?? '{}') as { moves?: number }).moves ?? 0
}

function signal(pid: number, name: NodeJS.Signals): void {
  if (isAlive(pid)) process.kill(pid, name)
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
