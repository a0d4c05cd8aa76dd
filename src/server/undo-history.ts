/** Changes of the layout that can be taken back, the last one first. */
import type { LayoutChange } from '../api/index.ts'
import { DroverError } from '../inference/index.ts'
import { type Action, type Done, inverseOf } from '../placement/index.ts'
import type { Pool } from '../routing/index.ts'

/** More are forgotten, the oldest first. */
const mostSteps = 16
/** Moves whose outcome is remembered: the pool forgets them sooner. */
const mostMoves = 512

/** What was done; the pool's move by which, where there is one. */
export interface Undoable {
  action: Action
  moveId?: number
}

/** One change, however many moves it was. */
export interface UndoStep extends LayoutChange {
  done: readonly Undoable[]
  /** Where its models were held to by hand before, by their keys. */
  heldBefore: ReadonlyMap<string, readonly string[] | undefined>
}

export interface UndoHistory {
  add(step: UndoStep): void
  /**
   * The last step and what takes it back; it is the last one no more. Throws `invalid_request` where there is none, or
   * where that step or its predecessor's undoing is under way yet.
   */
  take(): { step: UndoStep; actions: Action[] }
  /** Its taking back is being done. */
  undoing(step: UndoStep, done: readonly Undoable[]): void
  /** What can be taken back, the next one first. */
  steps(): readonly LayoutChange[]
  /** Sees what has become of moves; to be called often enough that none is forgotten meanwhile. */
  look(): void
}

export function createUndoHistory(pool: Pick<Pool, 'moves' | 'instances'>): UndoHistory {
  /** Oldest first. */
  const steps: UndoStep[] = []
  const outcomes = new Map<number, { state: string; successor: number | undefined }>()
  /** An instance that has ended for a step is there again since that was taken back: as what this move has started. */
  const backBy = new Map<number, number>()
  let lastUndoing: readonly Undoable[] = []

  function look(): void {
    for (const { id, state, successor } of pool.moves()) {
      outcomes.delete(id)
      outcomes.set(id, { state, successor })
    }
    for (const oldest of outcomes.keys()) if (outcomes.size > mostMoves) outcomes.delete(oldest)
    for (const oldest of backBy.keys()) if (backBy.size > mostMoves) backBy.delete(oldest)
  }

  const stateOf = ({ moveId }: Undoable) => outcomes.get(moveId ?? 0)?.state
  const isUnderWay = (one: Undoable) => ['starting', 'draining'].includes(stateOf(one) ?? 'done')

  /** With the instance that it has started, as it is now. */
  function withStarted({ action, moveId }: Undoable): Done {
    let started = outcomes.get(moveId ?? 0)?.successor
    for (let turns = 0; turns < mostSteps && started !== undefined && backBy.has(started); turns++) {
      started = outcomes.get(backBy.get(started) ?? 0)?.successor
    }
    const runs = pool
      .instances()
      .some(({ id, state, leaving }) => id === started && state === 'ready' && !leaving)
    return { action, ...(runs && started !== undefined && { started }) }
  }

  return {
    look,
    add(step) {
      steps.push(step)
      if (steps.length > mostSteps) steps.shift()
    },
    take() {
      look()
      // What has failed has changed nothing.
      while (steps.at(-1)?.done.every((one) => stateOf(one) === 'failed')) steps.pop()
      const step = steps.at(-1)
      if (!step) {
        throw new DroverError('invalid_request', 'there is no migration or rebalance to take back')
      }
      if ([...step.done, ...lastUndoing].some(isUnderWay)) {
        throw new DroverError(
          'invalid_request',
          'the last one is under way yet: it can be taken back when it is done',
        )
      }
      steps.pop()
      return { step, actions: inverseOf(step.done.map(withStarted)) }
    },
    undoing(step, done) {
      lastUndoing = done
      // The inverse of a move back to its devices, or of a stop, starts what the step has ended.
      for (const { action, moveId } of done) {
        const ended = step.done.find((one) => isBackOf(one.action, action))?.action
        if (moveId !== undefined && ended && ended.type !== 'start') backBy.set(ended.instance, moveId)
      }
    },
    steps: () => steps.toReversed().map(({ change, models, reason, at }) => ({ change, models, reason, at })),
  }
}

function isBackOf(action: Action, inverse: Action): boolean {
  if (action.type === 'start' || inverse.type === 'stop') return false
  return action.model === inverse.model && action.from === inverse.to
}
