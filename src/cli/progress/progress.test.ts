import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { createBar, formatRemaining } from './bar.ts'
import { createProgress, type ProgressOutput } from './display.ts'
import { followProgress, type ProgressPart } from './follow.ts'

const layer = { status: 'pulling 6a0746a1ec1a', digest: `sha256:6a0746a1ec1a${'0'.repeat(52)}`, total: 4.7e9 }

describe('the bar of a transfer', () => {
  it('shows part, size, rate and time left, one column less than the terminal has', () => {
    const bar = createBar('pulling 6a0746a1ec1a', 4.7e9, 0, 0)
    bar.set(1.9e9, 38_000)
    const line = bar.render(80, 38_000)
    expect(line).toMatch(/^pulling 6a0746a1ec1a: {2}40% ▕█+ +▏ 1\.9 GB\/4\.7 GB {3}50 MB\/s {5}56s$/)
    expect(line).toHaveLength(79)
  })

  it('counts what had been there before into the part, not into the rate', () => {
    const bar = createBar('x', 100e6, 50e6, 0)
    bar.set(60e6, 10_000)
    expect(bar.render(80, 10_000)).toMatch(/ 60% .* 60 MB\/100 MB {4}1 MB\/s {5}40s$/)
  })

  it('forgets how fast it was ten seconds ago', () => {
    const bar = createBar('x', 1e9, 0, 0)
    for (let second = 1; second <= 20; second++) bar.set(second <= 10 ? second * 10e6 : 100e6, second * 1000)
    expect(bar.render(80, 20_000)).not.toContain('/s')
  })

  it('shows only the size when it is done', () => {
    const bar = createBar('x', 2e9, 0, 0)
    bar.set(2e9, 5000)
    expect(bar.render(60, 5000).trimEnd()).toMatch(/^x: 100% ▕█+▏ {3}2 GB$/)
    expect(bar.describe()).toBe('x: 100% 2 GB')
  })

  it.each([
    [0.4, '0s'],
    [63, '1m3s'],
    [7500, '2h5m'],
    [360_000, '99h+'],
  ])('says %d s left as %s', (seconds, text) => {
    expect(formatRemaining(seconds)).toBe(text)
  })
})

async function follow(parts: ProgressPart[], output: Partial<ProgressOutput>): Promise<string> {
  let text = ''
  const write = (more: string) => {
    text += more
  }
  const display = createProgress({ write, ...output })
  const stream = async function* () {
    yield* parts
  }
  await followProgress(stream(), display)
  display.stop()
  return text
}

describe('the progress of a task', () => {
  it('is a plain line a step where there is no terminal', async () => {
    const parts = [
      { status: 'pulling manifest' },
      { status: 'pulling manifest' },
      layer,
      { ...layer, completed: 0.02e9 },
      { ...layer, completed: 0.03e9 },
      { ...layer, completed: 2.4e9 },
      { ...layer, completed: 4.7e9 },
      { status: 'success' },
    ]
    expect((await follow(parts, {})).split('\n')).toEqual([
      'pulling manifest',
      'pulling 6a0746a1ec1a:   0% 20 MB/4.7 GB',
      'pulling 6a0746a1ec1a:  51% 2.4 GB/4.7 GB',
      'pulling 6a0746a1ec1a: 100% 4.7 GB',
      'success',
      '',
    ])
  })

  it('is a line for each status and each layer on a terminal', async () => {
    const parts = [{ status: 'pulling manifest' }, { ...layer, completed: 4.7e9 }, { status: 'success' }]
    const text = await follow(parts, { isTTY: true, columns: 60 })
    expect(stripVTControlCharacters(text).replaceAll('\r', '').split('\n')).toEqual([
      'pulling manifest',
      expect.stringMatching(/^pulling 6a0746a1ec1a: 100% ▕█*▏ 4\.7 GB *$/),
      'success',
      '',
    ])
  })

  it('can be taken away again without a trace', () => {
    let text = ''
    const display = createProgress({
      isTTY: true,
      write: (more) => {
        text += more
      },
    })
    display.status('')
    display.clear()
    display.clear()
    expect(text).toBe('')
  })
})
