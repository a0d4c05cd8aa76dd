import { availableParallelism } from 'node:os'
import { describe, expect, it } from 'vitest'
import { countPhysicalCores, defaultThreads } from './threads.ts'

describe('the default number of threads', () => {
  it('counts a hyper-threaded core once, and equal core numbers of two sockets twice', () => {
    const processor = (socket: number, core: number) =>
      `processor: 0\nphysical id\t: ${socket}\ncore id\t\t: ${core}\n`
    const cpuinfo = [processor(0, 0), processor(0, 0), processor(0, 1), processor(1, 0)].join('\n')
    expect(countPhysicalCores(cpuinfo)).toBe(3)
  })

  it('knows no cores where the system names none', () => {
    expect(countPhysicalCores('processor\t: 0\nBogoMIPS\t: 50.00\n')).toBeUndefined()
  })

  it('leaves a CPU to others wherever there are two', () => {
    expect(defaultThreads()).toBeGreaterThanOrEqual(1)
    expect(defaultThreads()).toBeLessThanOrEqual(Math.max(1, availableParallelism() - 1))
  })
})
