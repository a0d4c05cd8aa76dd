import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { editedFile, loadConfig } from '../config/index.ts'
import { systemClock } from '../core/index.ts'
import { createLogger } from '../observability/index.ts'
import { createLiveConfig, type LiveConfig } from './live-config.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const clean of cleanups.splice(0)) clean()
})

/** A server's configuration with a real file in a folder of its own. */
function setUp(text: string | undefined, env: Record<string, string> = {}) {
  const home = mkdtempSync(join(tmpdir(), 'drover-live-'))
  cleanups.push(() => rmSync(home, { recursive: true, force: true }))
  const path = join(home, 'drover.yaml')
  if (text !== undefined) writeFileSync(path, text)
  const readFile = (asked: string) => {
    try {
      return readFileSync(asked, 'utf8')
    } catch {
      // There is none yet.
      return undefined
    }
  }
  const read = (instead?: { path: string; text: string }) =>
    loadConfig({
      env: { DROVER_HOME: home, ...env },
      flags: { engine: 'embedded' },
      homeDir: home,
      cwd: home,
      readFile: (asked) => (asked === instead?.path ? instead.text : readFile(asked)),
    })
  const lines: Record<string, unknown>[] = []
  const log = createLogger({
    level: 'info',
    pretty: false,
    destination: { write: (line) => lines.push(JSON.parse(line)) },
  })
  const live = createLiveConfig(read(), read, systemClock)
  live.watch(log)
  cleanups.push(live.close)
  return { live, path, lines, write: (next: string) => writeFileSync(path, next) }
}

const setting = (live: LiveConfig, key: string) => live.report().settings.find((one) => one.key === key)

describe('a configuration that follows its file', () => {
  it('takes what is live, and names what waits for a restart until it is taken back', () => {
    const { live, write, lines } = setUp('keepAlive: 1m\n')
    const { config } = live
    write('keepAlive: 2m\nmaxBodySize: 1MiB\nmulti_gpu: {strategy: tensor}\n')
    live.reload()
    expect(config).toMatchObject({ keepAliveMs: 120_000, maxBodyBytes: 64 * 2 ** 20 })
    expect(config.multiGpu.strategy).toBe('tensor')
    expect(live.report().restart).toEqual([{ key: 'maxBodySize', running: '64MiB', written: '1MiB' }])
    expect(setting(live, 'maxBodySize')).toMatchObject({ value: '64MiB', from: 'default', live: false })
    live.reload()
    write('keepAlive: 2m\n')
    live.reload()
    expect(live.report().restart).toEqual([])
    expect(config.multiGpu.strategy).toBeUndefined()
    expect(lines.map(({ setting, to, written }) => [setting, to ?? written])).toEqual([
      ['keepAlive', '2m'],
      ['multi_gpu.strategy', 'tensor'],
      ['maxBodySize', '1MiB'],
      ['multi_gpu.strategy', 'auto'],
    ])
  })

  it('refuses a wrong file with all its errors, keeps what ran, and is well again when the file is', () => {
    const { live, write, lines } = setUp('keepAlive: 1m\n')
    write('keepAlive: soon\npolicy: best\ncolour: red\n')
    live.reload()
    live.reload()
    const { refused, settings } = live.report()
    expect(refused?.problems).toEqual([
      expect.stringContaining('drover.yaml: colour: there is no such setting'),
      expect.stringContaining('drover.yaml: keepAlive: "soon" is not allowed'),
      expect.stringContaining('drover.yaml: policy: "best" is not allowed'),
    ])
    expect(settings.find(({ key }) => key === 'keepAlive')?.value).toBe('1m')
    expect(live.config.keepAliveMs).toBe(60_000)
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(1)
    write('keepAlive: [unclosed\n')
    live.reload()
    expect(live.report().refused?.problems).toEqual([expect.stringContaining('is not YAML')])
    write('keepAlive: 3m\n')
    live.reload()
    expect(live.report().refused).toBeUndefined()
    expect(live.config.keepAliveMs).toBe(180_000)
  })

  it('sees the file written, replaced as editors do it, removed, and made', async () => {
    const { live, path, write } = setUp(undefined)
    const keeps = (ms: number) => vi.waitFor(() => expect(live.config.keepAliveMs).toBe(ms), 5000)
    write('keepAlive: 1m\n')
    await keeps(60_000)
    writeFileSync(`${path}.tmp`, 'keepAlive: 2m\n')
    renameSync(`${path}.tmp`, path)
    await keeps(120_000)
    rmSync(path)
    await keeps(300_000)
    mkdirSync(dirname(path), { recursive: true })
    write('keepAlive: 3m\n')
    await keeps(180_000)
  })
})

describe('whatever is written, one after the other', () => {
  const lives = { keepAlive: ['1m', '2m', 'soon'], 'multi_gpu.strategy': ['data', 'tensor', 'best'] } as const
  const others = { prune: [true, false, 7], maxBatchSize: [1, 2, 0] } as const
  const some = <Value>(values: readonly Value[]) => fc.option(fc.constantFrom(...values), { nil: undefined })
  const file = fc.record({
    keepAlive: some(lives.keepAlive),
    'multi_gpu.strategy': some(lives['multi_gpu.strategy']),
    prune: some(others.prune),
    maxBatchSize: some(others.maxBatchSize),
  })
  const textOf = (settings: object) =>
    editedFile(
      '',
      Object.entries(settings).map(([key, value]) => ({ key, value })),
    )

  it('live settings are those of the last right file, the others those of the first', () => {
    fc.assert(
      fc.property(fc.array(file, { maxLength: 8 }), (files) => {
        let text = ''
        const read = () =>
          loadConfig({ env: {}, flags: { config: 'a' }, homeDir: '/', cwd: '/', readFile: () => text })
        const first = read().config
        const live = createLiveConfig(read(), read, systemClock)
        let last = first
        for (const one of files) {
          text = textOf(one)
          live.reload()
          const wrong = one.keepAlive === 'soon' || one['multi_gpu.strategy'] === 'best' || one.prune === 7
          const refused = wrong || one.maxBatchSize === 0
          expect(live.report().refused !== undefined).toBe(refused)
          if (!refused) last = read().config
          expect(live.config).toEqual({ ...last, prune: first.prune, maxBatchSize: first.maxBatchSize })
          const waiting = live.report().restart.map(({ key }) => key)
          expect(waiting.includes('prune')).toBe(last.prune !== first.prune)
          expect(waiting.includes('maxBatchSize')).toBe(last.maxBatchSize !== first.maxBatchSize)
        }
      }),
    )
  })
})

describe('a change from outside', () => {
  it('is written into the file beside what is there, and taken', () => {
    const { live, path } = setUp('# mine\nkeepAlive: 1m\n')
    const report = live.change([
      { key: 'multi_gpu.strategy', value: 'data' },
      { key: 'multi_gpu.data_parallel.replicas', value: 2 },
    ])
    expect(readFileSync(path, 'utf8')).toBe(
      '# mine\nkeepAlive: 1m\nmulti_gpu:\n  strategy: data\n  data_parallel:\n    replicas: 2\n',
    )
    expect(live.config.multiGpu).toMatchObject({ strategy: 'data', dataParallel: { replicas: 2 } })
    expect(report.settings.find(({ key }) => key === 'multi_gpu.strategy')).toEqual({
      key: 'multi_gpu.strategy',
      value: 'data',
      from: `${path}: multi_gpu.strategy`,
      live: true,
    })
    live.change([{ key: 'multi_gpu.strategy', value: null }])
    expect(live.config.multiGpu.strategy).toBeUndefined()
  })

  it('makes the file where there is none', () => {
    const { live, path } = setUp(undefined)
    live.change([{ key: 'hedge', value: true }])
    expect(readFileSync(path, 'utf8')).toBe('hedge: true\n')
  })

  it.each([
    [[{ key: 'multi_gpu.strategy', value: 'best' }], '"best" is not allowed'],
    [[{ key: 'multi_gpu.stratgy', value: 'data' }], 'there is no such setting'],
    [[{ key: 'engine', value: 'llama.cpp' }], 'engine is set by --engine, which counts before the file'],
    [[{ key: 'keepAlive', value: '1h' }], 'keepAlive is set by OLLAMA_KEEP_ALIVE'],
  ])('%j is refused, and nothing is changed', (edits, message) => {
    const { live, path } = setUp('maxQueue: 7\n', { OLLAMA_KEEP_ALIVE: '9m' })
    expect(() => live.change(edits)).toThrow(message)
    expect(readFileSync(path, 'utf8')).toBe('maxQueue: 7\n')
    expect(live.report().refused).toBeUndefined()
  })
})
