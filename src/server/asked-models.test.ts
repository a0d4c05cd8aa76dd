import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { Logger } from '../observability/index.ts'
import { createAskedModels } from './asked-models.ts'
import { openRequestHistory } from './request-history.ts'

const minute = 60_000
const beganMs = Date.UTC(2024, 0, 1)

describe('models that were asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'drover-asked-'))
  afterAll(() => rm(folder, { recursive: true, force: true }))
  const warnings: string[] = []
  const log = { warn: (_: object, message: string) => warnings.push(message) } as unknown as Logger
  const open = (name: string, nowMs: number) => openRequestHistory(join(folder, name), nowMs, log)

  it('are expected by the next run of the server as they would have been by this one', async () => {
    let nowMs = beganMs
    const clock = { now: () => nowMs }
    const first = open('kept.json', clock.now())
    const before = createAskedModels(clock, first)
    for (let times = 0; times < 6; times++) {
      before.asked('key', 'm:latest')
      nowMs += 30 * minute
    }
    before.close()
    await first.saved()
    const [foreseen] = before.expected(10 * minute)
    const second = open('kept.json', clock.now())
    const after = createAskedModels(clock, second)
    expect(foreseen).toMatchObject({ model: 'key', basis: 'every 30 min' })
    expect(after.expected(10 * minute)).toEqual([foreseen])
    expect(after.nameOf('key')).toBe('m:latest')
    expect(after.askedAtMs('key')).toBe(beganMs + 150 * minute)
    expect(warnings).toEqual([])
  })

  it('are written now and then, and not where nothing was asked', async () => {
    let nowMs = beganMs
    const clock = { now: () => nowMs }
    const history = open('written.json', clock.now())
    const models = createAskedModels(clock, history)
    const written = async () => {
      models.look()
      await history.saved()
      return (await readFile(join(folder, 'written.json'), 'utf8').catch(() => '')) !== ''
    }
    nowMs += 6 * minute
    expect(await written()).toBe(false)
    models.asked('key', 'm')
    expect(await written()).toBe(true)
  })

  it.each([
    ['no JSON', '{"models": '],
    ['of another form', '{"version": 1, "models": [{"model": "a"}]}'],
    [
      'with times that are none',
      JSON.stringify({ version: 1, models: [{ ...entry(), lastArrivalMs: '1' }] }),
    ],
  ])('are begun anew where the file is %s, which is told', async (_, text) => {
    await writeFile(join(folder, 'broken.json'), text)
    warnings.length = 0
    expect(open('broken.json', beganMs).earlier).toEqual([])
    expect(warnings).toEqual([expect.stringMatching(/broken\.json cannot be used and is begun anew/)])
  })

  it('are not taken from the future', async () => {
    const models = [entry(), { ...entry(), model: 'later', lastArrivalMs: beganMs + 1 }]
    await writeFile(join(folder, 'future.json'), JSON.stringify({ version: 1, models }))
    expect(open('future.json', beganMs).earlier.map(({ model }) => model)).toEqual(['key'])
  })
})

function entry() {
  const times = { lastArrivalMs: beganMs, firstBurstMs: beganMs, lastBurstMs: beganMs }
  return { model: 'key', name: 'm', ...times, gapsMs: [], weeks: [[0, 1]], hits: 0, misses: 0, surprises: 0 }
}
