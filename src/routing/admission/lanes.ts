/**
 * Who is next. A group's tickets are served class by class; within a class each ticket has the virtual tokens that its
 * tenant will have been served when its turn comes (the tenant's counter, and what its tickets before this one are
 * expected to cost), and the least goes first; ties go by deadline, then arrival. So tenants take turns, and a ticket's
 * place is known without walking the queue.
 */
import { priorityClasses, type Ticket } from './contract.ts'
import { before, countWhile, createOrdered, firstOf, insert, nextAfter, remove, sumOf } from './ordered.ts'
import { byArrival, byDue, type Group, type GroupRank, type Lane, type Waiting } from './state.ts'

export type Groups = Map<string, Group>

const ticketOrder = {
  key: ({ dueMs }: Waiting) => dueMs,
  tie: byArrival,
  measure: ({ cost }: Waiting) => cost,
}

const laneOrder = {
  key: ({ tenant }: Lane) => tenant.counter,
  tie: (a: Lane, b: Lane) => byDue(a.head, b.head),
}

/** Puts a ticket where its group, class and tenant say. */
export function join(groups: Groups, waiting: Waiting): void {
  const { ticket, tenant, rank } = waiting
  let group = groups.get(ticket.group)
  if (!group) {
    group = createGroup(ticket.group)
    groups.set(ticket.group, group)
  }
  const beside = rankOf(group, rank)
  beside.waiting++
  const lane = beside.byTenant.get(tenant)
  if (!lane) {
    const tickets = createOrdered(ticketOrder)
    insert(tickets, waiting)
    const opened: Lane = { group, rank, tenant, tickets, head: waiting }
    beside.byTenant.set(tenant, opened)
    tenant.lanes.add(opened)
    insert(beside.lanes, opened)
    return
  }
  insert(lane.tickets, waiting)
  if (byDue(waiting, lane.head) < 0) replaceHead(beside, lane, waiting)
}

/** Takes a ticket out from where `join` has put it. */
export function part(groups: Groups, waiting: Waiting): void {
  const { ticket, tenant, rank } = waiting
  const group = groups.get(ticket.group)
  const beside = group && rankOf(group, rank)
  const lane = beside?.byTenant.get(tenant)
  if (!group || !beside || !lane) throw new RangeError(`ticket ${ticket.id} stands in no lane`)
  beside.waiting--
  remove(lane.tickets, waiting)
  if (lane.head !== waiting) return
  const head = firstOf(lane.tickets)
  if (head) {
    replaceHead(beside, lane, head)
    return
  }
  remove(beside.lanes, lane)
  beside.byTenant.delete(tenant)
  tenant.lanes.delete(lane)
  if (group.ranks.every(({ waiting }) => waiting === 0)) groups.delete(group.name)
}

/** The groups' names by whose first ticket is next. Costs their number, times its logarithm. */
export function groupsInOrder(groups: Groups): string[] {
  const first: Lane[] = []
  for (const { ranks } of groups.values()) {
    const best = ranks.find(({ waiting }) => waiting > 0)
    const lane = best && firstOf(best.lanes)
    if (lane) first.push(lane)
  }
  return first
    .sort((a, b) => a.rank - b.rank || a.tenant.counter - b.tenant.counter || byDue(a.head, b.head))
    .map(({ group }) => group.name)
}

/** A lane's next ticket, and the virtual tokens that its tenant will have been served by then. */
interface Turn {
  lane: Lane
  waiting: Waiting
  /** Expected cost of the tenant's tickets that come before it in this group. */
  ahead: number
  counter: number
}

const turnOrder = {
  key: ({ counter }: Turn) => counter,
  tie: (a: Turn, b: Turn) => byDue(a.waiting, b.waiting),
}

/** A group's tickets in order, lazily; the group must not change meanwhile. */
export function* walk(group: Group): Generator<Ticket> {
  for (const { lanes } of group.ranks) {
    const turns = createOrdered(turnOrder)
    let unseen = firstOf(lanes)
    for (;;) {
      const turn = firstOf(turns)
      // A lane's first turn comes at its tenant's counter, or later where the tenant has tickets in a higher class.
      if (unseen && (!turn || unseen.tenant.counter <= turn.counter)) {
        insert(turns, turnOf(unseen, unseen.head, costOfHigher(unseen)))
        unseen = nextAfter(lanes, unseen)
        continue
      }
      if (!turn) break
      yield turn.waiting.ticket
      remove(turns, turn)
      const next = nextAfter(turn.lane.tickets, turn.waiting)
      if (next) insert(turns, turnOf(turn.lane, next, turn.ahead + turn.waiting.cost))
    }
  }
}

/** How many tickets of its group come before this one. Costs the number of tenants, times a logarithm. */
export function positionOf(groups: Groups, waiting: Waiting): number {
  const group = groups.get(waiting.ticket.group)
  const own = group && rankOf(group, waiting.rank)
  const ownLane = own?.byTenant.get(waiting.tenant)
  if (!group || !own || !ownLane) throw new RangeError(`ticket ${waiting.ticket.id} stands in no lane`)
  let position = 0
  for (const higher of group.ranks.slice(0, waiting.rank)) position += higher.waiting
  const ahead = before(ownLane.tickets, waiting)
  position += ahead.count
  const turn = turnOf(ownLane, waiting, costOfHigher(ownLane) + ahead.sum)
  for (let lane = firstOf(own.lanes); lane; lane = nextAfter(own.lanes, lane)) {
    if (lane.tenant.counter > turn.counter) break
    if (lane !== ownLane) position += countBefore(lane, turn)
  }
  return position
}

function countBefore(lane: Lane, turn: Turn): number {
  const higher = costOfHigher(lane)
  return countWhile(lane.tickets, (waiting, ahead) =>
    comesBefore(turnOf(lane, waiting, higher + ahead), turn),
  )
}

function comesBefore(a: Turn, b: Turn): boolean {
  return a.counter === b.counter ? byDue(a.waiting, b.waiting) < 0 : a.counter < b.counter
}

function turnOf(lane: Lane, waiting: Waiting, ahead: number): Turn {
  return { lane, waiting, ahead, counter: lane.tenant.counter + ahead / lane.tenant.weight }
}

function costOfHigher({ group, rank, tenant }: Lane): number {
  let cost = 0
  for (let higher = 0; higher < rank; higher++) {
    const lane = rankOf(group, higher).byTenant.get(tenant)
    if (lane) cost += sumOf(lane.tickets)
  }
  return cost
}

function replaceHead(beside: GroupRank, lane: Lane, head: Waiting): void {
  remove(beside.lanes, lane)
  lane.head = head
  insert(beside.lanes, lane)
}

function createGroup(name: string): Group {
  return {
    name,
    ranks: priorityClasses.map(() => ({
      waiting: 0,
      byTenant: new Map(),
      lanes: createOrdered(laneOrder),
    })),
  }
}

function rankOf({ ranks }: Group, rank: number): GroupRank {
  const found = ranks[rank]
  if (!found) throw new RangeError(`there is no class ${rank}`)
  return found
}
