import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AdmissionQueue, Ticket } from './contract.ts'
import { createAdmissionQueue, defaultAdmissionLimits } from './index.ts'
import { impliedDeadlineMs } from './state.ts'
import { ticketOf } from './testing.ts'

const group = 'llama/4096'

function next(queue: AdmissionQueue, nowMs: number): Ticket | undefined {
  for (const ticket of queue.inOrder(group, nowMs)) return ticket
  return undefined
}

function costOf({ promptTokens, outputTokens }: Ticket): number {
  return promptTokens + defaultAdmissionLimits.outputWeight * outputTokens
}

const cost = fc.record({
  promptTokens: fc.integer({ min: 1, max: 4000 }),
  outputTokens: fc.integer({ min: 1, max: 1000 }),
})

describe('fair shares', () => {
  it('differ, between two tenants that always wait, by less than twice the dearest request', () => {
    const weights = fc.constantFrom(1, 2, 5)
    fc.assert(
      fc.property(fc.array(cost, { minLength: 200, maxLength: 200 }), weights, (costs, weight) => {
        const queue = createAdmissionQueue({ ...defaultAdmissionLimits, tenantWeights: { bob: weight } })
        const served = { ada: 0, bob: 0 }
        let dearest = 0
        const refill = (tenant: string) => queue.offer(ticketOf({ tenant, ...costs.pop() }), 0)
        for (const tenant of ['ada', 'ada', 'bob']) refill(tenant)
        while (costs.length > 0) {
          const ticket = next(queue, 0)
          if (!ticket) throw new Error('nobody waits')
          refill(ticket.tenant)
          queue.start(ticket.id, 0)
          queue.charge(ticket.tenant, ticket.outputTokens)
          dearest = Math.max(dearest, costOf(ticket))
          if (ticket.tenant === 'bob') served.bob += costOf(ticket) / weight
          else served.ada += costOf(ticket)
          expect(Math.abs(served.ada - served.bob)).toBeLessThan(2 * dearest)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('hold with several slots and answers that are charged token by token', () => {
    const slots = 4
    fc.assert(
      fc.property(fc.array(cost, { minLength: 150, maxLength: 150 }), (costs) => {
        const queue = createAdmissionQueue(defaultAdmissionLimits)
        const served = new Map([
          ['ada', 0],
          ['bob', 0],
        ])
        const running: { tenant: string; left: number }[] = []
        const bound = 2 * Math.max(4000, defaultAdmissionLimits.outputWeight * 1000 * slots)
        const add = (tenant: string, tokens: number) => served.set(tenant, (served.get(tenant) ?? 0) + tokens)
        const refill = (tenant: string) => queue.offer(ticketOf({ tenant, ...costs.pop() }), 0)
        for (const tenant of ['ada', 'ada', 'ada', 'bob']) refill(tenant)
        while (costs.length > 0) {
          while (running.length < slots && costs.length > 0) {
            const ticket = next(queue, 0)
            if (!ticket) throw new Error('nobody waits')
            refill(ticket.tenant)
            queue.start(ticket.id, 0)
            add(ticket.tenant, ticket.promptTokens)
            running.push({ tenant: ticket.tenant, left: ticket.outputTokens })
          }
          const step = Math.min(...running.map(({ left }) => left))
          for (const one of running) {
            queue.charge(one.tenant, step)
            add(one.tenant, step * defaultAdmissionLimits.outputWeight)
            one.left -= step
          }
          running.splice(0, running.length, ...running.filter(({ left }) => left > 0))
          expect(Math.abs((served.get('ada') ?? 0) - (served.get('bob') ?? 0))).toBeLessThan(bound)
        }
      }),
      { numRuns: 50 },
    )
  })

  it('let one light tenant through a flood of 10,000 within one turn of each', () => {
    const queue = createAdmissionQueue(defaultAdmissionLimits)
    for (let n = 0; n < 10_000; n++) queue.offer(ticketOf({ tenant: 'flood' }), 0)
    const light = ticketOf({ tenant: 'light', arrivedMs: 1 })
    const refusals = queue.offer(light, 1)
    expect(refusals.map(({ reason }) => reason)).toEqual(['crowded_out'])
    expect(queue.positionOf(light.id, 1)).toBeLessThanOrEqual(1)
  })
})

describe('age', () => {
  /**
   * One slot, a second for each request, and more urgent ones than it can serve, all the time. Returns when the bulk
   * ticket started.
   */
  function startOfBulk(bulk: Ticket, urgent: (nowMs: number) => Partial<Ticket>): number {
    const queue = createAdmissionQueue({ ...defaultAdmissionLimits, maxWaiting: 2000 })
    queue.offer(bulk, 0)
    for (let nowMs = 0; nowMs < 2_000_000; nowMs += 1000) {
      for (let n = 0; n < 2; n++) queue.offer(ticketOf({ arrivedMs: nowMs, ...urgent(nowMs) }), nowMs)
      queue.expire(nowMs)
      const ticket = next(queue, nowMs)
      if (ticket === bulk) return nowMs
      if (ticket) {
        queue.start(ticket.id, nowMs)
        queue.charge(ticket.tenant, ticket.outputTokens)
      }
    }
    return Number.POSITIVE_INFINITY
  }

  const bulk = () => ticketOf({ priority: 'bulk', tenant: 'patient' })
  const topAfterMs = 3 * defaultAdmissionLimits.promoteAfterMs.bulk

  it('starts a bulk request, under an endless stream of interactive ones, once it has risen to the top', () => {
    const startMs = startOfBulk(bulk(), () => ({ priority: 'interactive', tenant: 'patient' }))
    expect(startMs).toBe(topAfterMs)
  })

  it('does so when the stream is of another tenant, too', () => {
    const startMs = startOfBulk(bulk(), () => ({ priority: 'interactive', tenant: 'stream' }))
    expect(startMs).toBeLessThanOrEqual(topAfterMs + 1000)
  })

  it('does so under a stream of system requests with deadlines, once those are later than its own ten minutes', () => {
    const urgent = (nowMs: number) =>
      ({ priority: 'system', tenant: 'patient', deadlineMs: nowMs + 5000 }) as const
    const startMs = startOfBulk(bulk(), urgent)
    expect(startMs).toBeGreaterThan(topAfterMs)
    expect(startMs).toBeLessThanOrEqual(impliedDeadlineMs + 1000)
  })
})
