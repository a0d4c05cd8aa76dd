import { appendFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { spawnGuarded } from '../process/index.ts'
import { openLogFile } from './log-file.ts'

let folder = ''
let path = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-log-'))
  path = join(folder, 'engine.log')
})
afterEach(async () => {
  vi.useRealTimers()
  await rm(folder, { recursive: true, force: true })
})

describe("the file of a server's log", () => {
  it('has all that a program printed, on both its outputs, after it and the file have gone', async () => {
    const log = openLogFile(path)
    const child = spawnGuarded({
      file: '/bin/sh',
      args: ['-c', 'echo first; echo second >&2'],
      removePaths: [],
      outputFd: log.fd,
    })
    await child.exited
    log.close()
    await rm(path)
    expect(log.text()).toBe('first\nsecond\n')
    log.close()
  })

  it('forgets what it is told to, and gives the end of what is longer than it holds', () => {
    const log = openLogFile(path)
    appendFileSync(path, 'of the load\n')
    expect(log.text()).toBe('of the load\n')
    log.clear()
    expect(log.text()).toBe('')
    for (let index = 0; index < 1000; index++) appendFileSync(path, `line ${index} ${'x'.repeat(1000)}\n`)
    expect(log.text().length).toBe(256 * 1024)
    expect(log.text()).toMatch(/line 999 x+\n$/)
    log.close()
  })

  it('is cut down when it has grown long, and its end is remembered', () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const log = openLogFile(path)
    appendFileSync(path, `${'x'.repeat(3 * 2 ** 20)}the end of the first part\n`)
    vi.advanceTimersByTime(1_000)
    expect(statSync(path).size).toBe(0)
    appendFileSync(path, 'and what came after\n')
    expect(log.text()).toMatch(/xthe end of the first part\nand what came after\n$/)
    expect(log.text().length).toBe(256 * 1024)
    log.close()
  })

  it('tells when something was printed', () => {
    vi.useFakeTimers({ toFake: ['performance'] })
    const log = openLogFile(path)
    vi.advanceTimersByTime(500)
    const before = log.lastOutputMs
    expect(before).toBe(performance.now() - 500)
    appendFileSync(path, 'loading\n')
    expect(log.lastOutputMs).toBe(before + 500)
    vi.advanceTimersByTime(100)
    expect(log.lastOutputMs).toBe(before + 500)
    log.close()
  })
})
