import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type AdmissionLimits,
  type PriorityClass,
  priorityClasses,
  type QueueReport,
  type Ticket,
} from './contract.ts'
import { createAdmissionQueue, defaultAdmissionLimits } from './index.ts'
import { PlainQueue, ticketOf } from './testing.ts'

/** One step of a schedule; numbers pick among what there is. */
type Step =
  | ({ type: 'arrive'; waitedMs: number; dueInMs: number | undefined } & Partial<Ticket>)
  | { type: 'start'; pick: number; count: number }
  | { type: 'withdraw'; pick: number }
  | { type: 'charge'; tenant: string; tokens: number }
  | { type: 'expire' }
  | { type: 'pass'; ms: number }

const tenants = ['ada', 'bob', 'cy', 'dan']

const limitsOfASchedule: fc.Arbitrary<AdmissionLimits> = fc.record({
  maxWaiting: fc.constantFrom(0, 1, 2, 4, 8, 16, 1000),
  maxWaitingByClass: fc.constantFrom({}, { bulk: 2 }, { interactive: 3, default: 2 }),
  promoteAfterMs: fc.constant({ system: 5, interactive: 5, default: 30, bulk: 120 }),
  tenantWeights: fc.constantFrom({}, { ada: 2, bob: 0.5 }),
  outputWeight: fc.constantFrom(1, 2),
})

const arrival = fc.record({
  type: fc.constant('arrive' as const),
  tenant: fc.constantFrom(...tenants),
  priority: fc.constantFrom<PriorityClass[]>(...priorityClasses),
  group: fc.constantFrom('a', 'b'),
  model: fc.constantFrom('a', 'b'),
  promptTokens: fc.constantFrom(0, 1, 3, 10, 100),
  outputTokens: fc.constantFrom(0, 1, 2, 10.4, 50),
  waitedMs: fc.constantFrom(0, 0, 0, 7, 100),
  dueInMs: fc.constantFrom(undefined, undefined, 0, 10, 40, 300),
})

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: arrival },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('start' as const), pick: fc.nat(9), count: fc.nat(3) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('withdraw' as const), pick: fc.nat(99) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('charge' as const),
      tenant: fc.constantFrom(...tenants),
      tokens: fc.integer({ min: -20, max: 60 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ type: 'expire' as const }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('pass' as const), ms: fc.constantFrom(1, 3, 10, 60, 200) }),
  },
)

/** Runs a schedule on the queue and on its plainest form; they must agree at every step. */
function play(limits: AdmissionLimits, schedule: readonly Step[]): void {
  const queue = createAdmissionQueue(limits)
  const plain = new PlainQueue(limits)
  const arrived: Ticket[] = []
  const fates = new Map<number, string>()
  let nowMs = 1000

  const ends = (id: number, fate: string) => {
    expect(fates.get(id), `ticket ${id} has ended already`).toBeUndefined()
    fates.set(id, fate)
  }

  const act: { [Type in Step['type']]: (given: Extract<Step, { type: Type }>) => void } = {
    arrive: ({ type, waitedMs, dueInMs, ...given }) => {
      const due = dueInMs === undefined ? {} : { deadlineMs: nowMs + dueInMs }
      const ticket = ticketOf({ ...given, ...due, arrivedMs: nowMs - waitedMs })
      arrived.push(ticket)
      const refusals = queue.offer(ticket, nowMs)
      expect(refusals).toEqual(plain.offer(ticket, nowMs))
      for (const { ticket, reason } of refusals) ends(ticket.id, reason)
    },
    start: ({ pick, count }) => {
      const groups = plain.groups(nowMs)
      const group = groups[pick % Math.max(1, groups.length)]
      if (group === undefined) return
      let started = 0
      for (const ticket of queue.inOrder(group, nowMs)) {
        if (started++ > count) break
        expect(ticket, 'the next one, as things are').toBe(plain.order(group, nowMs)[0])
        queue.start(ticket.id, nowMs)
        plain.start(ticket.id)
        ends(ticket.id, 'started')
      }
    },
    withdraw: ({ pick }) => {
      const ticket = arrived[pick % Math.max(1, arrived.length)]
      if (!ticket) return
      const left = queue.withdraw(ticket.id)
      expect(left).toBe(plain.take(ticket.id) !== undefined)
      if (left) ends(ticket.id, 'withdrawn')
    },
    charge: ({ tenant, tokens }) => {
      queue.charge(tenant, tokens)
      plain.charge(tenant, tokens)
    },
    expire: () => {
      const refusals = queue.expire(nowMs)
      expect(refusals).toEqual(plain.expire(nowMs))
      for (const { ticket, reason } of refusals) ends(ticket.id, reason)
    },
    pass: ({ ms }) => {
      nowMs += ms
    },
  }
  const run = <Type extends Step['type']>(given: Extract<Step, { type: Type }>) =>
    act[given.type as Type](given)

  for (const given of schedule) {
    run(given)
    const picture = {
      next: queue.nextChangeMs(nowMs),
      orders: queue.groups(nowMs).map((group) => [group, ...idsOf(queue.inOrder(group, nowMs))]),
    }
    const wanted = {
      next: plain.nextChangeMs(nowMs),
      orders: plain.groups(nowMs).map((group) => [group, ...idsOf(plain.order(group, nowMs))]),
    }
    expect(JSON.stringify(picture)).toBe(JSON.stringify(wanted))
    const groups = plain.groups(nowMs).map((group) => idsOf(plain.order(group, nowMs)))
    const misplaced = groups.flatMap((ids) => ids.filter((id, at) => queue.positionOf(id, nowMs) !== at))
    expect(misplaced).toHaveLength(0)
    expect(queue.size).toBe(plain.tickets.length)
    expect(queue.size).toBeLessThanOrEqual(limits.maxWaiting)
    expect(overfull(queue.report(nowMs), limits)).toHaveLength(0)
  }
  const left = [...queue.groups(nowMs)].flatMap((group) => [...queue.inOrder(group, nowMs)])
  for (const { id } of left) ends(id, 'waiting')
  expect(fates.size, 'every ticket has ended, or waits').toBe(arrived.length)
}

function idsOf(tickets: Iterable<Ticket>): number[] {
  return [...tickets].map(({ id }) => id)
}

function overfull({ byModel }: QueueReport, { maxWaitingByClass }: AdmissionLimits): string[] {
  return byModel.flatMap(({ byClass }) =>
    priorityClasses.filter(
      (priority) => byClass[priority] > (maxWaitingByClass?.[priority] ?? Number.POSITIVE_INFINITY),
    ),
  )
}

/** `DROVER_TEST_SCHEDULES=10000` is the long run. */
const schedules = Number(process.env['DROVER_TEST_SCHEDULES'] ?? 3_000)

describe('any schedule of arrivals, starts, withdrawals and time', () => {
  it('is served in the order that sorting everything gives, and loses or doubles nothing', () => {
    fc.assert(fc.property(limitsOfASchedule, fc.array(step, { maxLength: 20, size: 'max' }), play), {
      numRuns: schedules,
    })
  }, 120_000)

  it('is, when it is long', () => {
    const long = fc.array(step, { minLength: 300, maxLength: 300, size: 'max' })
    fc.assert(
      fc.property(long, (schedule) => play({ ...defaultAdmissionLimits, maxWaiting: 200 }, schedule)),
      { numRuns: 4 },
    )
  })
})
