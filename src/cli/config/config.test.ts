import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { explain, getSettings, validate } from './read.ts'
import { importFile, setSetting, writeDefaults } from './write.ts'

let home: string
let path: string
beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'drover-config-'))
  path = join(home, 'drover.yaml')
  vi.stubEnv('DROVER_HOME', home)
  vi.stubEnv('OLLAMA_KEEP_ALIVE', '3m')
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(home, { recursive: true, force: true })
})
const file = () => readFileSync(path, 'utf8')

describe('config get', () => {
  it('tells a value and whether it is from a variable, the file, or nobody', () => {
    writeFileSync(path, 'policy: locality\n')
    expect(getSettings('keep_alive', {})).toBe('keepAlive  3m  (OLLAMA_KEEP_ALIVE)\n')
    expect(getSettings('policy', {})).toBe(`policy  locality  (${path}: policy)\n`)
    expect(getSettings('maxQueue', {})).toBe('maxQueue  512  (default)\n')
    expect(JSON.parse(getSettings('policy', { json: true }))).toEqual({
      key: 'policy',
      value: 'locality',
      from: `${path}: policy`,
      live: true,
    })
  })

  it('lists a section, or everything, and names what is like a wrong key', () => {
    expect(getSettings('multiGpu.memory', {}).split('\n')).toHaveLength(5)
    expect(getSettings(undefined, {})).toContain('multi_gpu.scheduling.migration.cooldown')
    expect(() => getSettings('pooling', {})).toThrow(
      'there is no setting "pooling"; there are multi_gpu.memory.pooling',
    )
  })
})

describe('config set', () => {
  it('writes into the file that counts, keeps comments, and says what hides it', () => {
    writeFileSync(path, '# mine\nmaxQueue: 7 # few\n')
    expect(setSetting('max_queue', '9', {})).toBe(`${path}: maxQueue is 9\n`)
    expect(file()).toBe('# mine\nmaxQueue: 9 # few\n')
    expect(setSetting('keepAlive', '-1', {})).toContain('OLLAMA_KEEP_ALIVE too, which counts before the file')
    expect(setSetting('maxBodySize', '1MiB', {})).toContain('(it takes effect at the next start)')
    expect(setSetting('maxQueue', undefined, { unset: true })).toBe(`${path}: maxQueue is taken out\n`)
    expect(file()).toBe('# mine\nkeepAlive: -1\nmaxBodySize: 1MiB\n')
  })

  it('writes nothing where the file would be wrong', () => {
    expect(() => setSetting('policy', 'best', {})).toThrow('policy: "best" is not allowed')
    expect(() => setSetting('multi_gpu.memory', 'all', {})).toThrow('is a section')
    expect(() => setSetting('policy', undefined, {})).toThrow('give a value, or --unset')
    expect(existsSync(path)).toBe(false)
  })

  it('writes another file where one is named', () => {
    const other = join(home, 'other.yaml')
    setSetting('hedge', 'true', { config: other })
    expect(readFileSync(other, 'utf8')).toBe('hedge: true\n')
  })
})

describe('config validate', () => {
  it('tells every error of a file, or how many settings it has', () => {
    const other = join(home, 'other.yaml')
    writeFileSync(other, 'policy: best\ncolour: red\n')
    expect(() => validate(other)).toThrow(
      /colour: there is no such setting.*\n.*policy: "best" is not allowed/,
    )
    writeFileSync(other, 'policy: locality\nhedge: true\n')
    expect(validate(other)).toBe(`${other} is right: 2 settings are set\n`)
    vi.stubEnv('OLLAMA_HOTS', 'x')
    expect(validate(undefined)).toContain('OLLAMA_HOTS is set, but it is no variable')
  })
})

describe('config explain and init', () => {
  it('tell what a setting does', () => {
    expect(explain('multi_gpu.strategy')).toBe(
      [
        'multi_gpu.strategy',
        '  How models are divided. `auto` takes for each model what is best for it.',
        '  Takes      auto, single, data, tensor, pipeline or hybrid',
        '  Default    auto',
        '  Variables  OLLAMA_GPU_STRATEGY, DROVER_MULTI_GPU_STRATEGY',
        '  Changes    take effect while the server runs',
        '',
      ].join('\n'),
    )
    expect(explain('prune')).toContain('take effect at the next start')
  })

  it('write the file of defaults once', () => {
    writeDefaults({})
    expect(file()).toBe(explain(undefined))
    expect(() => writeDefaults({})).toThrow('is there already')
  })
})

describe('config import', () => {
  it('prints what an INI says in YAML, and the lines that have no counterpart', () => {
    const ini = join(home, 'balancer.ini')
    writeFileSync(ini, '[balancer]\nstrategy = leastconn\ncolour = blue\n')
    expect(importFile(ini, {})).toEqual({
      out: 'policy: least_loaded\n',
      notes: 'Not taken over:\n  line 3: balancer.colour = blue: Drover has no such setting\n',
    })
    expect(existsSync(path)).toBe(false)
    expect(importFile(ini, { write: true }).out).toBe(`${path}: policy\n`)
    expect(file()).toBe('policy: least_loaded\n')
    writeFileSync(ini, '[queue]\nsize = many\n')
    expect(() => importFile(ini, { write: true })).toThrow('maxQueue: "many" is not allowed')
    expect(file()).toBe('policy: least_loaded\n')
  })
})
