import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createFakeHost, eightCards } from '../../../test/support/fake-nvidia-smi/index.ts'
import { recordedReport } from './local.ts'

const folder = mkdtempSync(join(tmpdir(), 'recorded-'))
const { bin } = createFakeHost(folder)
const print = (...args: string[]) => execFileSync(join(bin, 'nvidia-smi'), args, { encoding: 'utf8' })
const xml = print('-q', '-x')
const matrix = print('topo', '-m')
rmSync(folder, { recursive: true })

it('recorded texts of one tool are one machine: the matrix is of the cards that the other lists', () => {
  const { devices, links } = recordedReport([
    { name: 'q.xml', text: xml },
    { name: 'topo.txt', text: matrix },
  ])
  expect(devices.map(({ id }) => id)).toEqual(eightCards().map(({ uuid }) => uuid))
  expect(links).toHaveLength((8 * 7) / 2)
  expect(links.filter((link) => link.class === 'nvlink')).toHaveLength(4)
  expect(devices[7]?.numaNode).toBe(1)
})

it('a matrix alone is of cards that have nothing but numbers', () => {
  const { devices, links } = recordedReport([{ name: 'topo.txt', text: matrix }])
  expect(devices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5, 6, 7])
  expect(links).toHaveLength((8 * 7) / 2)
})

it('a text that is none is told of, and the others are read', () => {
  const { devices, problems } = recordedReport([
    { name: 'diary.txt', text: 'Dear diary' },
    { name: 'q.xml', text: xml },
  ])
  expect(devices).toHaveLength(8)
  expect(problems).toEqual([expect.stringMatching(/^diary\.txt: /)])
})
