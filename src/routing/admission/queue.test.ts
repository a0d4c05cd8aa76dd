import { describe, expect, it } from 'vitest'
import type { AdmissionLimits, AdmissionQueue, PriorityClass, Ticket } from './contract.ts'
import { createAdmissionQueue, defaultAdmissionLimits } from './index.ts'
import { ticketOf } from './testing.ts'

const group = 'llama/4096'

function queueOf(limits: Partial<AdmissionLimits> = {}, options = {}): AdmissionQueue {
  return createAdmissionQueue({ ...defaultAdmissionLimits, ...limits }, options)
}

/** Lets a ticket in at the time it arrives. */
function add(queue: AdmissionQueue, given: Partial<Ticket> = {}): Ticket {
  const ticket = ticketOf(given)
  expect(queue.offer(ticket, ticket.arrivedMs)).toEqual([])
  return ticket
}

function names(tickets: Iterable<Ticket>): string[] {
  return [...tickets].map(({ tenant }) => tenant)
}

function waitingOf(queue: AdmissionQueue, tenant: string): number {
  return queue.report(0).tenants.find((row) => row.tenant === tenant)?.waiting ?? 0
}

describe('the order of the queue', () => {
  it('is that of arrival among equals', () => {
    const queue = queueOf()
    const tickets = [0, 1, 2, 3].map((arrivedMs) => add(queue, { arrivedMs }))
    expect([...queue.inOrder(group, 3)]).toEqual(tickets)
  })

  it('puts the more urgent class first', () => {
    const queue = queueOf()
    const bulk = add(queue, { priority: 'bulk' })
    const usual = add(queue, { priority: 'default' })
    const system = add(queue, { priority: 'system' })
    const interactive = add(queue, { priority: 'interactive' })
    expect([...queue.inOrder(group, 0)]).toEqual([system, interactive, usual, bulk])
  })

  it.each([
    ['interactive', 5000, 'system'],
    ['default', 30_000, 'interactive'],
    ['default', 60_000, 'system'],
    ['bulk', 120_000, 'default'],
    ['bulk', 240_000, 'interactive'],
    ['bulk', 360_000, 'system'],
  ] as const)('lets %s rise after %d ms to %s', (priority, afterMs, risen) => {
    const order = (nowMs: number) => {
      const queue = queueOf()
      const old = add(queue, { priority })
      const fresh = add(queue, { priority: risen, arrivedMs: nowMs })
      return [...queue.inOrder(group, nowMs)].map(({ id }) =>
        id === old.id ? 'old' : id === fresh.id ? 'fresh' : '?',
      )
    }
    expect(order(afterMs - 1)).toEqual(['fresh', 'old'])
    expect(order(afterMs)).toEqual(['old', 'fresh'])
  })

  it('counts the age of a ticket that comes back from its arrival on', () => {
    const queue = queueOf()
    add(queue, { priority: 'interactive', arrivedMs: 359_999 })
    const back = ticketOf({ priority: 'bulk', arrivedMs: 0 })
    queue.offer(back, 360_000)
    expect([...queue.inOrder(group, 360_000)][0]).toBe(back)
  })

  it('lets tenants take turns by what their requests are expected to cost', () => {
    const queue = queueOf({ outputWeight: 2 })
    for (let n = 0; n < 4; n++)
      add(queue, { tenant: 'ada', arrivedMs: n, promptTokens: 0, outputTokens: 100 })
    for (let n = 0; n < 4; n++)
      add(queue, { tenant: 'bob', arrivedMs: 10 + n, promptTokens: 100, outputTokens: 0 })
    expect(names(queue.inOrder(group, 20))).toEqual(['ada', 'bob', 'bob', 'ada', 'bob', 'bob', 'ada', 'ada'])
  })

  it('gives a tenant of twice the weight twice as much', () => {
    const queue = queueOf({ tenantWeights: { ada: 2 } })
    for (let n = 0; n < 4; n++) for (const tenant of ['ada', 'bob']) add(queue, { tenant })
    expect(names(queue.inOrder(group, 0)).slice(0, 6).sort()).toEqual([
      'ada',
      'ada',
      'ada',
      'ada',
      'bob',
      'bob',
    ])
  })

  it('serves next who was served least', () => {
    const queue = queueOf()
    for (const tenant of ['ada', 'bob', 'cy']) add(queue, { tenant })
    queue.charge('ada', 10)
    queue.charge('bob', 5)
    expect(names(queue.inOrder(group, 0))).toEqual(['cy', 'bob', 'ada'])
    queue.charge('cy', 8)
    expect(names(queue.inOrder(group, 0))).toEqual(['bob', 'cy', 'ada'])
  })

  it('charges a start its prompt, an answered token double, and takes back what was in the cache', () => {
    const queue = queueOf({ outputWeight: 2 })
    const first = add(queue, { tenant: 'ada', promptTokens: 1000 })
    for (const tenant of ['ada', 'bob']) add(queue, { tenant })
    queue.start(first.id, 0)
    queue.charge('ada', 20)
    queue.charge('ada', -900)
    queue.charge('bob', 69)
    expect(names(queue.inOrder(group, 0))).toEqual(['bob', 'ada'])
    queue.charge('bob', 2)
    expect(names(queue.inOrder(group, 0))).toEqual(['ada', 'bob'])
    const served = queue.report(0).tenants.map(({ tenant, servedTokens }) => [tenant, servedTokens])
    expect(served).toEqual([
      ['ada', 120],
      ['bob', 71],
    ])
  })

  it('lets nobody save up credit by staying away', () => {
    const queue = queueOf()
    add(queue, { tenant: 'ada' })
    queue.charge('ada', 1_000_000)
    for (let n = 0; n < 3; n++) add(queue, { tenant: 'ada' })
    for (let n = 0; n < 3; n++) add(queue, { tenant: 'new' })
    expect(names(queue.inOrder(group, 0))).toEqual(['ada', 'new', 'ada', 'new', 'ada', 'new', 'ada'])
  })

  it('levels who comes to an empty queue with the last who left it', () => {
    const queue = queueOf()
    const last = add(queue, { tenant: 'ada' })
    queue.start(last.id, 0)
    queue.charge('ada', 1_000_000)
    add(queue, { tenant: 'new', arrivedMs: 1 })
    add(queue, { tenant: 'ada', arrivedMs: 0 })
    expect(names(queue.inOrder(group, 1)), 'equally served: by arrival').toEqual(['ada', 'new'])
  })

  it('puts the earliest deadline of a tenant first, and one without as if it had ten minutes', () => {
    const queue = queueOf()
    const never = add(queue)
    const late = add(queue, { deadlineMs: 599_000 })
    const soon = add(queue, { deadlineMs: 1000 })
    const muchLater = add(queue, { deadlineMs: 601_000 })
    expect([...queue.inOrder(group, 0)]).toEqual([soon, late, never, muchLater])
  })

  it('keeps groups apart, and puts that one first whose ticket is next', () => {
    const queue = queueOf()
    const usual = add(queue, { group: 'a' })
    const urgent = add(queue, { group: 'b', priority: 'interactive' })
    expect(queue.groups(0)).toEqual(['b', 'a'])
    expect([...queue.inOrder('a', 0)]).toEqual([usual])
    queue.start(urgent.id, 0)
    expect(queue.groups(0)).toEqual(['a'])
    expect([...queue.inOrder('b', 0)]).toEqual([])
  })

  it('may be walked while what it gives is started or withdrawn', () => {
    const queue = queueOf()
    const tickets = [0, 1, 2, 3, 4].map((arrivedMs) => add(queue, { arrivedMs }))
    const given: Ticket[] = []
    for (const ticket of queue.inOrder(group, 4)) {
      given.push(ticket)
      if (ticket.id % 3 === 0) queue.start(ticket.id, 4)
      if (ticket.id % 3 === 1) queue.withdraw(ticket.id)
    }
    expect(given).toEqual(tickets)
  })
})

describe('the bounds of the queue', () => {
  it('refuse who comes when it is full', () => {
    const queue = queueOf({ maxWaiting: 2 })
    add(queue)
    add(queue)
    const ticket = ticketOf()
    expect(queue.offer(ticket, 0)).toEqual([{ ticket, reason: 'queue_full' }])
    expect(queue.size).toBe(2)
    expect(queue.has(ticket.id)).toBe(false)
  })

  it('hold for each model and class that has one', () => {
    const queue = queueOf({ maxWaitingByClass: { bulk: 1 } })
    add(queue, { priority: 'bulk' })
    add(queue, { priority: 'bulk', model: 'qwen' })
    add(queue, { priority: 'default' })
    const ticket = ticketOf({ priority: 'bulk' })
    expect(queue.offer(ticket, 0)).toEqual([{ ticket, reason: 'class_full' }])
  })

  it('let the newest ticket of a flood give way to another tenant, until both have as many', () => {
    const queue = queueOf({ maxWaiting: 4 })
    const flood = [0, 1, 2, 3].map((arrivedMs) => add(queue, { tenant: 'flood', arrivedMs }))
    const offer = () => queue.offer(ticketOf({ tenant: 'bob', priority: 'bulk' }), 4)
    expect(offer()).toEqual([{ ticket: flood[3], reason: 'crowded_out' }])
    expect(offer()).toEqual([{ ticket: flood[2], reason: 'crowded_out' }])
    expect(offer()).toMatchObject([{ reason: 'queue_full' }])
    expect(queue.size).toBe(4)
  })

  it('never keep another tenant out, however urgent a flood says it is', () => {
    const queue = queueOf({ maxWaiting: 100 })
    const bob = add(queue, { tenant: 'bob', priority: 'bulk' })
    for (let n = 0; n < 1000; n++) queue.offer(ticketOf({ tenant: 'flood', priority: 'system' }), 1)
    expect(queue.has(bob.id)).toBe(true)
    for (let n = 0; n < 49; n++) queue.offer(ticketOf({ tenant: 'bob', priority: 'bulk' }), 2)
    expect(waitingOf(queue, 'bob')).toBe(50)
  })

  it('let a more urgent request of the same tenant in for a less urgent one', () => {
    const queue = queueOf({ maxWaiting: 2 })
    add(queue, { priority: 'bulk', arrivedMs: 0 })
    const newest = add(queue, { priority: 'bulk', arrivedMs: 1 })
    const urgent = ticketOf({ priority: 'interactive', arrivedMs: 2 })
    expect(queue.offer(urgent, 2)).toEqual([{ ticket: newest, reason: 'crowded_out' }])
    expect([...queue.inOrder(group, 2)][0]).toBe(urgent)
  })

  it('leave the choice between tenants with equally many to the class', () => {
    const queue = queueOf({ maxWaiting: 2 })
    add(queue, { tenant: 'ada', priority: 'interactive' })
    const bulk = add(queue, { tenant: 'bob', priority: 'bulk' })
    const usual = ticketOf({ tenant: 'cy' })
    expect(queue.offer(usual, 0)).toEqual([{ ticket: bulk, reason: 'crowded_out' }])
    const other = ticketOf({ tenant: 'dan' })
    expect(queue.offer(other, 0)).toEqual([{ ticket: other, reason: 'queue_full' }])
  })

  it('share the room by weight', () => {
    const queue = queueOf({ maxWaiting: 9, tenantWeights: { ada: 2 } })
    for (let n = 0; n < 20; n++) queue.offer(ticketOf({ tenant: 'bob' }), 0)
    for (let n = 0; n < 20; n++) queue.offer(ticketOf({ tenant: 'ada' }), 0)
    expect([waitingOf(queue, 'ada'), waitingOf(queue, 'bob')]).toEqual([6, 3])
  })

  it('hold for the tenants that are remembered, and nobody gains by being forgotten', () => {
    const queue = queueOf({}, { maxIdleTenants: 100 })
    const keep = add(queue, { tenant: 'keep' })
    for (let n = 0; n < 10_000; n++) {
      const ticket = add(queue, { tenant: `passing ${n}`, promptTokens: 1000 + n })
      queue.start(ticket.id, 0)
    }
    expect(queue.report(0).tenants.length).toBeLessThanOrEqual(101)
    const forgotten = add(queue, { tenant: 'passing 9000' })
    expect(queue.report(0).tenants.find(({ tenant }) => tenant === 'passing 9000')?.servedTokens).toBe(0)
    queue.charge('keep', 9000 / 2)
    expect([...queue.inOrder(group, 0)], 'it owes the 10,000 tokens still').toEqual([keep, forgotten])
  })
})

describe('tickets that leave', () => {
  it('are gone at once when they are withdrawn, and only once', () => {
    const queue = queueOf()
    const [first, second] = [add(queue), add(queue)]
    expect(queue.withdraw(first.id)).toBe(true)
    expect(queue.withdraw(first.id)).toBe(false)
    expect([...queue.inOrder(group, 0)]).toEqual([second])
    expect(queue.size).toBe(1)
  })

  it('are let go when their deadline has come', () => {
    const queue = queueOf()
    const ticket = add(queue, { deadlineMs: 1000 })
    expect(queue.expire(999)).toEqual([])
    expect(queue.expire(1000)).toEqual([{ ticket, reason: 'deadline' }])
    expect(queue.size).toBe(0)
  })

  it('make room, if their deadline has come, before anybody is refused', () => {
    const queue = queueOf({ maxWaiting: 1 })
    const due = add(queue, { deadlineMs: 1000 })
    const ticket = ticketOf({ arrivedMs: 1000 })
    expect(queue.offer(ticket, 1000)).toEqual([{ ticket: due, reason: 'deadline' }])
    expect(queue.has(ticket.id)).toBe(true)
  })

  it('do not come in when their deadline is over already', () => {
    const queue = queueOf()
    const ticket = ticketOf({ deadlineMs: 10 })
    expect(queue.offer(ticket, 10)).toEqual([{ ticket, reason: 'deadline' }])
  })
})

describe('what the queue tells', () => {
  it('is when something changes next: a deadline, or a rise', () => {
    const queue = queueOf()
    expect(queue.nextChangeMs(0)).toBe(Number.POSITIVE_INFINITY)
    add(queue, { priority: 'system' })
    expect(queue.nextChangeMs(0)).toBe(Number.POSITIVE_INFINITY)
    add(queue, { priority: 'default' })
    expect(queue.nextChangeMs(0)).toBe(30_000)
    expect(queue.nextChangeMs(30_000)).toBe(60_000)
    add(queue, { deadlineMs: 40_000 })
    expect(queue.nextChangeMs(30_000)).toBe(40_000)
    expect(queue.nextChangeMs(41_000)).toBe(41_000)
  })

  it('is where a ticket stands', () => {
    const queue = queueOf()
    const first = add(queue, { arrivedMs: 0 })
    const other = add(queue, { tenant: 'bob', arrivedMs: 1 })
    const second = add(queue, { arrivedMs: 2 })
    expect([first, other, second].map(({ id }) => queue.positionOf(id, 2))).toEqual([0, 1, 2])
    queue.start(first.id, 2)
    expect(queue.positionOf(first.id, 2)).toBeUndefined()
    expect([other, second].map(({ id }) => queue.positionOf(id, 2))).toEqual([0, 1])
  })

  it('is who waits, by model, class and tenant', () => {
    const queue = queueOf({ tenantWeights: { bob: 3 } })
    add(queue, { arrivedMs: 100 })
    add(queue, { arrivedMs: 200, priority: 'bulk' })
    add(queue, { arrivedMs: 300, model: 'qwen', tenant: 'bob' })
    const none: Record<PriorityClass, number> = { system: 0, interactive: 0, default: 0, bulk: 0 }
    expect(queue.report(1000)).toEqual({
      waiting: 3,
      byModel: [
        { model: 'llama', waiting: 2, byClass: { ...none, default: 1, bulk: 1 }, oldestMs: 900 },
        { model: 'qwen', waiting: 1, byClass: { ...none, default: 1 }, oldestMs: 700 },
      ],
      tenants: [
        { tenant: 'ada', waiting: 2, servedTokens: 0, weight: 1 },
        { tenant: 'bob', waiting: 1, servedTokens: 0, weight: 3 },
      ],
    })
  })
})

describe('what makes no sense', () => {
  it('is refused by name, and changes nothing', () => {
    const queue = queueOf()
    const ticket = add(queue)
    expect(() => queue.offer(ticket, 0)).toThrow(`ticket ${ticket.id} waits already`)
    expect(() => queue.start(-1, 0)).toThrow('ticket -1 cannot be started: it does not wait')
    expect(() => queue.charge('ada', Number.NaN)).toThrow('NaN tokens cannot be charged to tenant "ada"')
    expect(() => queue.offer(ticketOf({ outputTokens: Number.NaN }), 0)).toThrow('NaN output tokens')
    expect(() => queue.offer(ticketOf({ promptTokens: -1 }), 0)).toThrow('-1 prompt tokens')
    expect(() => queue.offer(ticketOf({ deadlineMs: Number.NaN }), 0)).toThrow('with the deadline NaN')
    expect(() => queueOf({ tenantWeights: { ada: 0 } })).toThrow('the weight of tenant "ada" is 0')
    expect([...queue.inOrder(group, 0)]).toEqual([ticket])
  })

  it('is not done to a tenant whose name is that of a property of every object', () => {
    const queue = queueOf({ tenantWeights: {} })
    add(queue, { tenant: 'constructor' })
    add(queue, { tenant: '__proto__' })
    expect(queue.report(0).tenants.map(({ weight }) => weight)).toEqual([1, 1])
  })
})
