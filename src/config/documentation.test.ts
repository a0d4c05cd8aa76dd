import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { withRows } from '../../tools/configuration/page.ts'
import { names, rowOf } from './layer.ts'

const page = readFileSync(new URL('../../docs/configuration.md', import.meta.url), 'utf8')

it('docs/configuration.md has every setting as the program knows it (`node tools/configuration.ts` writes it)', () => {
  expect(page.split('\n')).toEqual(withRows(page).split('\n'))
  for (const name of names) expect(page).toContain(`| \`${rowOf(name).key}\` |`)
})

it('docs/configuration.md tells of every key of multi_gpu where it is seen', () => {
  const [, table = ''] = page.split('| `multi_gpu.` |')
  const named = [...table.matchAll(/`((?:\w+\.)?[\w*]+)`/g)].map(([, key = '']) => key)
  for (const name of names.filter((one) => one.startsWith('multiGpu.'))) {
    const key = rowOf(name).key.replace('multi_gpu.', '')
    const wild = `${key.split('.').slice(0, -1).join('.')}.*`
    const last = key.split('.').at(-1) ?? ''
    expect(table.includes(`\`${key}\``) || table.includes(`\`${wild}\``) || named.includes(last), key).toBe(
      true,
    )
  }
})
