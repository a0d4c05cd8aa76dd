import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseDurationMs } from './durations.ts'
import { parseSizeBytes } from './sizes.ts'

describe('parseDurationMs', () => {
  it.each([
    ['5m', 300_000],
    ['1h30m', 5_400_000],
    ['1.5s', 1500],
    ['.5s', 500],
    ['250ms', 250],
    ['1us', 0.001],
    ['300', 300_000],
    ['0', 0],
    ['-1', -1000],
    ['-1m', -60_000],
    ['+2s', 2000],
  ])('reads %s as %d ms', (text, ms) => {
    expect(parseDurationMs(text)).toBeCloseTo(ms, 9)
  })

  it.each(['', 'soon', '5 m', 'm', '-', '1d', '5m3', '1.2.3s'])('refuses "%s"', (text) => {
    expect(parseDurationMs(text)).toBeUndefined()
  })

  it('adds up what it is given, in any units and with either sign', () => {
    const whole = fc.integer({ min: 0, max: 1000 })
    fc.assert(
      fc.property(whole, whole, whole, fc.boolean(), (hours, minutes, seconds, negative) => {
        const ms = hours * 3_600_000 + minutes * 60_000 + seconds * 1000
        const text = `${negative ? '-' : ''}${hours}h${minutes}m${seconds}s`
        expect(parseDurationMs(text)).toBe(negative ? -ms : ms)
      }),
    )
  })

  it('never throws and never gives NaN, whatever the text', () => {
    fc.assert(fc.property(fc.string(), (text) => !Number.isNaN(parseDurationMs(text) ?? 0)))
  })
})

describe('parseSizeBytes', () => {
  it.each([
    ['1048576', 1_048_576],
    ['8GiB', 8 * 2 ** 30],
    ['8gib', 8 * 2 ** 30],
    ['8GB', 8e9],
    ['500M', 5e8],
    ['1.5 KiB', 1536],
    ['64MiB', 2 ** 26],
    ['2Ti', 2 * 2 ** 40],
    ['12B', 12],
  ])('reads %s as %d bytes', (text, bytes) => {
    expect(parseSizeBytes(text)).toBe(bytes)
  })

  it.each(['', 'much', '8iB', '-1GB', 'GB', '8 X', '1e9'])('refuses "%s"', (text) => {
    expect(parseSizeBytes(text)).toBeUndefined()
  })
})
