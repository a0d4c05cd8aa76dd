import fc from 'fast-check'
import { describe, it } from 'vitest'
import { play } from './testing/play.ts'
import { options, schedule } from './testing/schedule.ts'

describe('any schedule of requests, failures, drains and lost devices', () => {
  it('ends every request once, whole or with a reason, and leaves the books empty', async () => {
    const runs = Number(process.env.RUNS ?? 10_000)
    await fc.assert(
      fc.asyncProperty(options, schedule, async (world, events) => void (await play(world, events))),
      {
        numRuns: runs,
      },
    )
  }, 300_000)
})
