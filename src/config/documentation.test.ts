import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { type Setting, settings, variableOf } from './settings.ts'

const page = new URL('../../docs/configuration.md', import.meta.url)

/** A setting as a row of the table in docs/configuration.md. */
function rowOf(setting: Setting): string {
  const { key, ollama, about, allowed, live } = setting
  const variables = [...(ollama ? [ollama.name] : []), variableOf(setting)].map((name) => `\`${name}\``)
  const initial = setting.default ? `\`${setting.default}\`` : ''
  return `| \`${key}\` | ${variables.join(' ')} | ${initial} | ${about} Takes ${allowed}.${live ? ' Live.' : ''} |`
}

it('docs/configuration.md has every setting as the program knows it, and no other', () => {
  const rows = readFileSync(page, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('| `') && line.includes('DROVER_'))
  expect(rows).toEqual(Object.values(settings).map(rowOf))
})
