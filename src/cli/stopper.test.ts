import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { createStopper, sameSignalMs } from './stopper.ts'

/** A process that only takes signals, and a clock that stands until it is moved. */
function setUp() {
  const events: (string | number)[] = []
  let nowMs = 0
  const target = Object.assign(new EventEmitter(), { exit: (code: number) => void events.push(code) })
  const stopper = createStopper(target, () => nowMs)
  return {
    target,
    stopper,
    events,
    stop: (hurry: boolean) => void events.push(hurry ? 'hurry' : 'drain'),
    signal: (name: string, afterMs = 1000) => {
      nowMs += afterMs
      target.emit(name, name)
    },
  }
}

describe('a process that is asked to stop', () => {
  it('drains at the first signal, hurries at the second, ends at the third', () => {
    const { stopper, events, stop, signal } = setUp()
    stopper.whenAsked(stop)
    signal('SIGTERM')
    expect(events).toEqual(['drain'])
    signal('SIGINT')
    expect(events).toEqual(['drain', 'hurry'])
    signal('SIGINT')
    expect(events).toEqual(['drain', 'hurry', 130])
  })

  it('counts a Ctrl-C once that the terminal, npm and the launcher all deliver', () => {
    const { stopper, events, stop, signal } = setUp()
    stopper.whenAsked(stop)
    signal('SIGINT')
    signal('SIGINT', 3)
    signal('SIGINT', sameSignalMs - 1)
    expect(events).toEqual(['drain'])
    signal('SIGINT', sameSignalMs)
    expect(events).toEqual(['drain', 'hurry'])
  })

  it('remembers a signal that came before there was anything to stop', () => {
    const { stopper, events, stop, signal } = setUp()
    signal('SIGTERM')
    expect(events).toEqual([])
    stopper.whenAsked(stop)
    expect(events).toEqual(['drain'])
  })

  it.each([
    ['SIGHUP', 129],
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('ends at the second %s while it still starts, with %d', (name, code) => {
    const { events, signal } = setUp()
    signal(name)
    signal(name)
    expect(events).toEqual([code])
  })

  it('leaves signals alone when it is done', () => {
    const { target, stopper, events, stop, signal } = setUp()
    stopper.whenAsked(stop)
    stopper.release()
    signal('SIGTERM')
    expect(events).toEqual([])
    expect(target.eventNames()).toEqual([])
  })
})
