import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { defaultFile } from './default-file.ts'
import { names, rowOf } from './layer.ts'
import { loadConfig } from './load.ts'
import { configSchema } from './schema.ts'

const load = (text?: string) =>
  loadConfig({
    env: {},
    flags: {},
    homeDir: '/home/ada',
    cwd: '/',
    readFile: (path) => (path.endsWith('drover.yaml') ? text : undefined),
  })

describe('the JSON Schema of the file', () => {
  it('is docs/config-schema.json (`drover config schema` prints it)', () => {
    const written = readFileSync(new URL('../../docs/config-schema.json', import.meta.url), 'utf8')
    expect(JSON.parse(written)).toEqual(JSON.parse(JSON.stringify(configSchema())))
  })

  it('says of every setting what it is, and of sections that there is nothing else in them', () => {
    const schema = configSchema()
    for (const name of names) {
      const { key, about } = rowOf(name)
      const path = `properties.${key.split('.').join('.properties.')}`
      expect(schema, key).toHaveProperty(path)
      const found: unknown = path.split('.').reduce((place: unknown, part) => Object(place)[part], schema)
      expect(found, key).toMatchObject({ description: expect.stringContaining(about) })
      expect(found).not.toHaveProperty('$schema')
    }
    expect(schema.properties?.['multi_gpu']).toMatchObject({ type: 'object', additionalProperties: false })
  })
})

describe('the file that explains itself', () => {
  it('sets nothing', () => {
    expect(load(defaultFile()).values).toEqual(load().values)
    expect(load(defaultFile()).origins).toEqual({})
  })

  it('sets every default to what it is when its lines are let loose', () => {
    const loose = defaultFile().replace(/^# (?= *\w+:)/gm, '')
    const { values, origins } = load(loose)
    const ofDrover = load().values
    expect(values).toEqual({ ...ofDrover, droverHome: ofDrover.droverHome })
    const withDefault = names.filter((name) => rowOf(name).default)
    expect(Object.keys(origins).toSorted()).toEqual(withDefault.toSorted())
  })

  it('fits a screen in width', () => {
    expect(
      Math.max(
        ...defaultFile()
          .split('\n')
          .map((line) => line.length),
      ),
    ).toBeLessThanOrEqual(125)
  })
})
