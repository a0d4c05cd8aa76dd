import type { Action } from './contract.ts'

/** An action that was carried out, with the instance that it started. */
export interface Done {
  action: Action
  started?: number
}

/** What takes actions back, the last one first. What was started and has gone since needs nothing. */
export function inverseOf(done: readonly Done[]): Action[] {
  return done.toReversed().flatMap(({ action, started }): Action[] => {
    const { model } = action
    const reason = `takes back: ${action.reason}`
    if (action.type === 'stop') return [{ type: 'start', model, to: action.from, reason }]
    if (started === undefined) return []
    if (action.type === 'start') return [{ type: 'stop', model, instance: started, from: action.to, reason }]
    return [{ type: 'move', model, instance: started, from: action.to, to: action.from, reason }]
  })
}
