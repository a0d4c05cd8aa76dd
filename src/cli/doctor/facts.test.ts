import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import { diagnose } from './checks.ts'
import { gatherFacts, recordedFacts } from './facts.ts'
import { formatFindings } from './format.ts'
import { codesOf, findingOf } from './testing.ts'

/** A card as `nvidia-smi --query-gpu` tells of it. */
function query(cells: Record<string, string>): { name: string; text: string } {
  const all = {
    index: '0',
    uuid: 'GPU-11111111-2222-4333-8444-555555555555',
    name: 'NVIDIA GeForce RTX 3090',
    'pci.bus_id': '00000000:01:00.0',
    'memory.total [MiB]': '24576 MiB',
    ...cells,
  }
  return { name: 'gpus.csv', text: `${Object.keys(all).join(', ')}\n${Object.values(all).join(', ')}\n` }
}

describe('recorded outputs', () => {
  it('are judged by the one look that they are', () => {
    const facts = recordedFacts([query({ 'temperature.gpu': '91', persistence_mode: 'Disabled' })])
    expect(codesOf(facts)).toEqual(['hot', 'persistence_off'])
    expect(findingOf(facts, 'hot').title).toContain('GPU0 (NVIDIA GeForce RTX 3090)')
    expect(facts.host).toBeUndefined()
  })

  it('tell of a link that is slower than card and slot', () => {
    const link = { 'pcie.link.width.current': '4', 'pcie.link.width.max': '16' }
    expect(findingOf(recordedFacts([query(link)]), 'slow_link').detail).toContain(
      'x4 where card and slot could do x16',
    )
  })

  const folder = sharedData('gpu-fixtures')
  it(`of many machines are told in sentences, each with what to do (${folder ? 'recorded' : 'own sample'})`, async () => {
    const samples = folder ? await textsOf(folder) : [query({ 'temperature.gpu': '91' })]
    for (const sample of samples) {
      const findings = diagnose(recordedFacts([sample]))
      for (const { title, detail, advice = '', level } of findings) {
        expect(`${title} ${detail} ${advice}`, sample.name).not.toMatch(/undefined|NaN|\[object/)
        expect(level === 'ok' || level === 'note' || advice !== '', sample.name).toBe(true)
      }
      expect(formatFindings(findings, { columns: 80, colours: false })).toMatch(
        /\n?(All well|\d+ (error|warning)).*\n$/,
      )
    }
  })
})

async function textsOf(folder: string): Promise<{ name: string; text: string }[]> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(files.map(async (name) => ({ name, text: await readFile(name, 'utf8') })))
}

it('this machine is looked at within five seconds, every part of it', async () => {
  const startedMs = performance.now()
  const facts = await gatherFacts()
  expect(performance.now() - startedMs).toBeLessThan(5500)
  expect(facts.devices.some(({ kind }) => kind === 'cpu')).toBe(true)
  expect(facts.host?.memory.totalBytes).toBeGreaterThan(0)
  expect(facts.folders?.map(({ use }) => use)).toEqual(['models', 'home', 'temporary'])
})
