import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bytesOf, isUnavailable, numberOf, pciAddressOf, pciIdOf, present, ratioOf, textOf } from './units.ts'

describe('a cell of a tool', () => {
  it.each([
    'N/A',
    '[N/A]',
    '[Not Supported]',
    '[Unknown Error]',
    ' n/a ',
    '',
    '-',
    'ERR!',
    'None',
    undefined,
  ])('has no value where it says so: %j', (text) => {
    expect(isUnavailable(text)).toBe(true)
    expect(textOf(text)).toBeUndefined()
    expect(numberOf(text)).toBeUndefined()
    expect(bytesOf(text, 'MiB')).toBeUndefined()
  })

  it('is a number with whatever stands around it', () => {
    expect(numberOf('300.00 W')).toBe(300)
    expect(numberOf('16x')).toBe(16)
    expect(numberOf('1,024 MHz')).toBe(1024)
    expect(numberOf('.69%')).toBe(0.69)
    expect(numberOf('-5 C')).toBe(-5)
    expect(numberOf('enabled')).toBeUndefined()
  })

  it('is bytes by its unit, or by the one that the column has', () => {
    expect(bytesOf('24564 MiB', 'B')).toBe(24564 * 2 ** 20)
    expect(bytesOf('16 GB', 'B')).toBe(16 * 2 ** 30)
    expect(bytesOf('512', 'MiB')).toBe(512 * 2 ** 20)
    expect(bytesOf('-1 MiB', 'B')).toBeUndefined()
  })

  it('is a share of at most one', () => {
    expect(ratioOf('45 %')).toBe(0.45)
    expect(ratioOf('255 %')).toBeUndefined()
  })

  it('never becomes NaN or an infinite number, whatever it says', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        for (const value of [numberOf(text), bytesOf(text, 'MiB'), ratioOf(text)]) {
          if (value !== undefined) expect(Number.isFinite(value)).toBe(true)
        }
      }),
    )
  })
})

describe('PCI', () => {
  it('addresses have one form', () => {
    for (const text of ['00000000:3B:00.0', '0000:3b:00.0', '3b:00.0', 'PCI:3B:00.0']) {
      expect(pciAddressOf(text)).toBe('0000:3b:00.0')
    }
    expect(pciAddressOf('10001:3b:00.0')).toBe('10001:3b:00.0')
    expect(pciAddressOf('card 0')).toBeUndefined()
  })

  it('ids have one form', () => {
    expect(pciIdOf('0x268410DE')).toBe('0x2684')
    expect(pciIdOf('73ff')).toBe('0x73ff')
    expect(pciIdOf('0x744C')).toBe('0x744c')
    expect(pciIdOf('Navi 31')).toBeUndefined()
  })
})

it('what is absent leaves no field', () => {
  expect(Object.keys(present({ a: 1, b: undefined }))).toEqual(['a'])
})
