import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatCpuList, parseCpuList } from './cpu-list.ts'

describe('a list of CPUs', () => {
  it('is written with ranges, as the kernel does', () => {
    expect(formatCpuList([8, 0, 1, 3, 2, 3])).toBe('0-3,8')
    expect(formatCpuList([])).toBe('')
  })

  it('is read back as it was written', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(400), { minLength: 1 }), (cpus) => {
        expect(parseCpuList(formatCpuList(cpus))).toEqual(cpus.sort((a, b) => a - b))
      }),
    )
  })

  it('is refused when it is none', () => {
    for (const text of ['', 'a', '3-1', '0-', '0,,1', '0-99999999']) {
      expect(parseCpuList(text), text).toBeUndefined()
    }
  })
})
