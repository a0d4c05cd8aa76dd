/** Plays a schedule, and says what must hold in the end, whatever it was. */
import { expect } from 'vitest'
import { loadFailed, undisturbed } from '../../testing/scripted-engine.ts'
import { type Event, happen } from './schedule.ts'
import { type Client, createWorld, type World, type WorldOptions } from './world.ts'

/** `closes`: the server is closed at the end of the schedule, whoever waits or runs. */
export async function play(options: WorldOptions, events: readonly Event[], closes = false): Promise<World> {
  const world = createWorld(options)
  for (const one of events) {
    if (one.afterMs !== undefined) await world.clock.pass(one.afterMs)
    happen(world, one)
  }
  const closed = closes ? world.pool.close(0) : undefined
  for (const { id } of options.devices) world.deviceBack(id)
  const isCalm = await world.calm()
  const waiting = world.clients.flatMap(({ endedMs }, at) => (endedMs === undefined ? [at] : []))
  expect(isCalm, `requests ${waiting} wait for ever`).toBe(true)
  for (const client of world.clients) checkEnd(client, options, closes)
  if (!closed) await checkBooks(world, options)
  await checkClosed(world, closed ?? world.pool.close(0))
  expect(world.complaints.join('\n')).toBe('')
  return world
}

/** Whole, or refused with a reason that there was. */
function checkEnd(client: Client, { admission }: WorldOptions, closes: boolean): void {
  const { asked, tokens, whole, stopped, held, refusal, moves, arrivedMs, endedMs = 0 } = client
  const answer = undisturbed(asked.prompt, asked.maxTokens)
  expect(tokens, 'what it was told').toEqual(answer.slice(0, tokens.length))
  expect([whole, stopped, held, refusal].filter(Boolean), 'one end').toHaveLength(1)
  if (whole) expect(tokens).toHaveLength(asked.maxTokens)
  if (!refusal) return
  const told = `${refusal.code}: ${refusal.message} (${moves.length} moves, ${tokens.length} tokens)`
  switch (refusal.code) {
    case 'busy':
    case 'rate_limited':
      expect(admission.maxWaiting, told).toBeLessThan(10)
      expect(tokens, told).toHaveLength(0)
      break
    case 'deadline_exceeded':
      expect(endedMs - arrivedMs, told).toBeGreaterThanOrEqual(asked.deadlineInMs ?? Number.POSITIVE_INFINITY)
      expect(tokens, told).toHaveLength(0)
      break
    case 'cancelled':
      expect(refusal.message).toBe('the client left')
      break
    case 'engine_failed':
    case 'engine_crashed':
    case 'engine_unavailable':
      // The model cannot be loaded (there), or one instance after the other has failed.
      if (refusal.message !== loadFailed && !closes && asked.pin === undefined)
        expect(moves.length, told).toBeGreaterThanOrEqual(4)
      break
    case 'load_failed':
    case 'insufficient_memory':
    case 'crash_loop':
      break
    case 'shutting_down':
      expect(closes, told).toBe(true)
      break
    default:
      expect.unreachable(told)
  }
}

/** Nothing is left of requests that have ended. */
async function checkBooks({ pool, queue, clock, instances }: World, { bytes }: WorldOptions): Promise<void> {
  // Slots of answers that nobody reads any more are free when the engines say so; crashed models come back by themselves.
  await clock.pass(200_000)
  expect(queue.size, 'the queue').toBe(0)
  expect(pool.queue().requests, 'those who wait').toEqual([])
  const held = [
    ...instances.filter((one) => one.running() > 0).map(({ id }) => `${id} runs`),
    ...pool.instances().flatMap(({ id, running }) => (running === 0 ? [] : [`${id} is booked`])),
    ...pool.ready().flatMap(({ entry }) => (entry.inUse === 0 ? [] : [`${entry.id} is in use`])),
    ...Object.keys(bytes).flatMap((key) => {
      const { ranked } = pool.explain(wishFor(key), nothingAsked(key))
      return ranked.flatMap(({ candidate }) => {
        const { id, running, prefilling, prefillTokens, activeTokens } = candidate
        const sum = running + prefilling + prefillTokens + activeTokens
        return sum === 0 ? [] : [`${id} counts for decisions`]
      })
    }),
  ]
  expect(held.join(', ')).toBe('')
}

async function checkClosed({ clock, instances, health }: World, closed: Promise<void>): Promise<void> {
  await clock.pass(10_000)
  await closed
  expect(instances.filter((one) => !one.gone())).toEqual([])
  expect(health.report(clock.now()), 'health of instances that are gone').toEqual([])
}

const wishFor = (key: string) => ({
  key,
  modelName: key,
  options: {},
  plan: () => ({ ok: false as const, message: '' }),
  spread: () => ({ ok: false as const, message: '' }),
  spec: () => expect.unreachable(),
})

const nothingAsked = (model: string) => ({
  tenant: '',
  promptTokens: 1,
  outputTokens: 1,
  shape: {
    model,
    tenant: '',
    kind: 'chat' as const,
    promptTokens: 1,
    tools: false,
    format: false,
    thinking: false,
  },
})
