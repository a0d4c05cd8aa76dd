import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join, relative } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../test/support/shared-data.ts'
import { outputReaders } from './probes.ts'
import { readOutput } from './read-output.ts'

const fixtures = sharedData('gpu-fixtures')

function filesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesIn(path) : [path]
  })
}

/** Every number in a value is finite, and none of those that count something is below zero. */
function checkNumbers(value: unknown, path: string): void {
  if (typeof value === 'number') {
    expect(Number.isFinite(value), path).toBe(true)
    if (/bytes|count|watts|mhz|rpm|width|generation/i.test(path))
      expect(value, path).toBeGreaterThanOrEqual(0)
    if (/(utilization|ratio)$/i.test(path)) expect(value, path).toBeLessThanOrEqual(1)
  } else if (typeof value === 'object' && value !== null) {
    for (const [key, inner] of Object.entries(value)) checkNumbers(inner, `${path}.${key}`)
  }
}

describe('any text', () => {
  it('is read or refused with a reason, and never more than that', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const result = readOutput(text, outputReaders)
        if (result.ok) checkNumbers(result.reading, '')
        else expect(result.reason.length).toBeGreaterThan(5)
      }),
    )
  })

  it('is refused by what is wrong with it', () => {
    expect(readOutput('', outputReaders)).toEqual({ ok: false, reason: 'the text is empty' })
    expect(readOutput('Dear diary', outputReaders)).toMatchObject({ ok: false })
  })
})

describe('recorded outputs', () => {
  const files = fixtures === undefined ? [] : filesIn(fixtures)
  const foreign: Readonly<Record<string, RegExp>> = {
    nvidia: /amd|rocm|xpu|intel_gpu/i,
    amd: /nvidia|xpu|intel_gpu/i,
    intel: /nvidia|amd|rocm/i,
    apple: /nvidia|amd|rocm|xpu/i,
  }

  it('are each read by a reader of their own vendor, or refused with a reason', () => {
    let read = 0
    for (const path of files) {
      const name = relative(fixtures ?? '', path)
      const result = readOutput(readFileSync(path, 'utf8'), outputReaders)
      if (!result.ok) {
        expect(result.reason.length, name).toBeGreaterThan(10)
        continue
      }
      read++
      checkNumbers(result.reading, name)
      const others = foreign[name.split('/')[0] ?? '']
      if (others) expect(result.reading.tool, name).not.toMatch(others)
    }
    if (files.length > 0) expect(read / files.length).toBeGreaterThan(0.85)
  })

  it('survive being cut anywhere', () => {
    for (const path of files.filter((_, index) => index % 7 === 0)) {
      const text = readFileSync(path, 'utf8').slice(0, 60_000)
      for (const share of [0.1, 0.37, 0.5, 0.81, 0.99]) {
        const result = readOutput(text.slice(0, Math.floor(text.length * share)), outputReaders)
        if (result.ok) checkNumbers(result.reading, path)
      }
    }
  })
})
