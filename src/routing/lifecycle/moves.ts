/**
 * Instances that are put elsewhere. A move starts a successor on the devices that it names, where there is room for it
 * beside what runs; once that is warm those that leave take no new requests, and end as drained ones do. Until it is
 * ready nothing is taken from anybody: a move that fails leaves everything as it was. Pure.
 */
import { DroverError } from '../../inference/index.ts'
import { type PlacementResult, place } from './place.ts'
import { launch, type Round } from './round.ts'
import type { Entry, LifecycleState, LoadWish, MachineFacts, Move } from './state.ts'

/** What is to be put where. */
export interface MoveWish {
  wish: LoadWish
  /** Instances that end for it; none where one is only added. */
  leaving: readonly number[]
  /** The devices of the successor. */
  to: readonly string[]
  reason: string
}

/** Moves that have ended and are remembered yet. */
const mostRemembered = 32

/** The move begins with the next `settle`. Throws `invalid_request` where an instance is moving already. */
export function move(state: LifecycleState, wished: MoveWish, nowMs: number): Move {
  const leaving = wished.leaving.flatMap((id) => state.entries.get(id) ?? [])
  const busy = leaving.find(({ leavesFor }) => leavesFor !== undefined)
  if (busy) {
    throw new DroverError(
      'invalid_request',
      `instance #${busy.id} is on its way already: wait until it is there`,
    )
  }
  const { wish, to, reason } = wished
  const started: Move = {
    id: state.nextId++,
    key: wish.key,
    modelName: wish.modelName,
    wish,
    leaving: leaving.map(({ id }) => id),
    from: [...new Set(leaving.flatMap(({ shares }) => shares.map(({ deviceId }) => deviceId)))],
    to,
    reason,
    state: 'starting',
    startedAtMs: nowMs,
  }
  for (const entry of leaving) entry.leavesFor = started.id
  state.moves.set(started.id, started)
  forgetOldMoves(state)
  return started
}

function forgetOldMoves({ moves }: LifecycleState): void {
  const ended = [...moves.values()].filter(({ endedAtMs }) => endedAtMs !== undefined)
  for (const { id } of ended.slice(0, -mostRemembered)) moves.delete(id)
}

/** Where a successor on these devices would lie, beside all that runs. */
export function placeOnDevices(
  state: LifecycleState,
  wish: LoadWish,
  to: readonly string[],
  machine: MachineFacts,
): PlacementResult {
  return place(state, { ...wish, pins: to }, machine, [...state.entries.values()])
}

/** Takes each move as far as it can go now. */
export function advanceMoves(round: Round): void {
  const { state, facts } = round
  for (const moving of state.moves.values()) {
    if (moving.state === 'starting') beginMove(round, moving)
    if (moving.state === 'draining' && moving.leaving.every((id) => !state.entries.has(id))) {
      moving.state = 'done'
      moving.endedAtMs = facts.nowMs
    }
  }
}

/** Starts its successor, or goes on when that is ready. */
export function beginMove(round: Round, moving: Move): void {
  const { state, facts, effects } = round
  if (moving.successor === undefined) {
    if (state.closed) return
    const found = placeOnDevices(state, moving.wish, moving.to, facts.machine())
    if (found.ok) {
      moving.successor = launch(round, moving.wish, found.placement, { warm: true }).id
      moving.to = found.placement.shares.map(({ deviceId }) => deviceId)
    } else giveUp(state, moving, found.message, facts.nowMs)
    return
  }
  const successor = state.entries.get(moving.successor)
  if (!successor || successor.phase === 'closing') {
    giveUp(state, moving, 'its successor ended before it was ready', facts.nowMs)
    return
  }
  if (successor.phase !== 'ready') return
  moving.state = 'draining'
  const { handOverAfterMs = Number.POSITIVE_INFINITY } = state.limits
  for (const entry of leavingOf(state, moving)) {
    entry.drainsUntilMs ??= facts.nowMs + handOverAfterMs
    effects.push({ type: 'keepCaches', entryId: entry.id })
  }
}

function leavingOf(state: LifecycleState, { leaving }: Move): Entry[] {
  return leaving.flatMap((id) => state.entries.get(id) ?? [])
}

/** A successor has failed, or has died while others were to make way for it: who serves yet goes on. */
export function successorFailed(state: LifecycleState, entryId: number, reason: string, nowMs: number): void {
  for (const moving of state.moves.values()) {
    if (moving.successor === entryId && moving.endedAtMs === undefined) giveUp(state, moving, reason, nowMs)
  }
}

function giveUp(state: LifecycleState, moving: Move, reason: string, nowMs: number): void {
  moving.state = 'failed'
  moving.error = reason
  moving.endedAtMs = nowMs
  for (const entry of leavingOf(state, moving)) {
    delete entry.leavesFor
    // What was sent away cannot be called back: it ends.
    if (!entry.drained && !entry.handedOver) delete entry.drainsUntilMs
  }
}
