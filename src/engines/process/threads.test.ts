import { availableParallelism } from 'node:os'
import { expect, it } from 'vitest'
import { defaultThreads } from './threads.ts'

it('the default number of threads leaves a CPU to others wherever there are two', () => {
  expect(defaultThreads()).toBeGreaterThanOrEqual(1)
  expect(defaultThreads()).toBeLessThanOrEqual(Math.max(1, availableParallelism() - 1))
})
