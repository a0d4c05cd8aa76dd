/**
 * Room for a model by moving another one, in place of unloading it: where a device has not enough for the one that waits,
 * and would have without an instance that fits elsewhere as well. The smallest that does is moved. Pure.
 */
import { withOptionsOf } from './leaving.ts'
import { beginMove, move } from './moves.ts'
import { liesOn, place, roomAfter } from './place.ts'
import type { Round } from './round.ts'
import type { Entry, LoadWish } from './state.ts'

/** After a move that failed, room is made by unloading for so long. */
const givenUpMs = 60_000

/** Whether somebody moves for this model, or does from now on. */
export function makeRoomByMoving(round: Round, wish: LoadWish): boolean {
  const { state, facts } = round
  for (const { roomFor, endedAtMs, state: how } of state.moves.values()) {
    if (roomFor !== wish.key) continue
    if (endedAtMs === undefined) return true
    if (how === 'failed' && facts.nowMs - endedAtMs < givenUpMs) return false
  }
  const found = smallestThatHelps(round, wish)
  if (!found) return false
  const { entry, to } = found
  const { pins: _pins, ...again } = withOptionsOf(entry)
  const reason = `makes room for ${wish.modelName}`
  const moving = move(state, { wish: again, leaving: [entry.id], to: [to], reason }, facts.nowMs)
  moving.roomFor = wish.key
  beginMove(round, moving)
  return moving.endedAtMs === undefined
}

function smallestThatHelps(round: Round, wish: LoadWish): { entry: Entry; to: string } | undefined {
  const { state, facts } = round
  const machine = facts.machine()
  const running = [...state.entries.values()]
  const settled = running.filter(
    ({ phase, leavesFor, drainsUntilMs, stale, shares, key }) =>
      phase === 'ready' &&
      leavesFor === undefined &&
      drainsUntilMs === undefined &&
      !stale &&
      shares.length === 1 &&
      key !== wish.key,
  )
  for (const entry of settled.toSorted((a, b) => a.bytes - b.bytes || a.id - b.id)) {
    const others = machine.devices.filter(({ id }) => !liesOn(entry, id)).map(({ id }) => id)
    const elsewhere = place(state, { ...withOptionsOf(entry), pins: others }, machine, running)
    const [share, ...more] = elsewhere.ok ? elsewhere.placement.shares : []
    if (!elsewhere.ok || !share || more.length > 0) continue
    const { shares, plan } = elsewhere.placement
    // As if it were there already, and still took what is free.
    const moved: Entry = { ...entry, phase: 'loading', shares, bytes: plan.bytes }
    const left = [...running.filter((one) => one !== entry), moved]
    if (place(state, wish, roomAfter(state, left, machine), left).ok) return { entry, to: share.deviceId }
  }
  return undefined
}
