import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { clusterOf, readCluster } from './cluster.ts'

const folder = mkdtempSync(join(tmpdir(), 'drover-cluster-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const model = { params: 8e9, kvBytesPerToken: 131_072 }

describe('a cluster file', () => {
  it('names cards, and what is not said follows from their figures', () => {
    const path = join(folder, 'cluster.yaml')
    writeFileSync(
      path,
      `
groups:
  - count: 2
    device: H200 SXM
    model: { params: 8e9, kvBytesPerToken: 131072 }
  - device: NVIDIA GeForce RTX 4090
    model: { params: 8e9, bitsPerWeight: 4.5, kvBytesPerToken: 131072 }
    slots: 4
    kvTokens: 32768
    speed: 0.5
failures: [{ instance: 2, atS: 60 }]
mtbfS: 3600
`,
    )
    const { instances, failures, meanMsBetweenFailures } = readCluster(path)
    expect(instances.map(({ kind }) => kind)).toEqual(['H200 SXM', 'H200 SXM', 'NVIDIA GeForce RTX 4090'])
    expect(instances[0]).toMatchObject({ memoryBytesPerS: 4.8e12, modelBytes: 16e9 })
    expect(instances[2]?.engine).toMatchObject({ slots: 4, kvTokens: 32_768 })
    expect(failures).toEqual([{ instance: 2, atMs: 60_000 }])
    expect(meanMsBetweenFailures).toBe(3_600_000)
  })

  it('makes a device of a quarter of the speed four times slower in everything', () => {
    const engine = { prefillTokensPerS: 1000, decodeBaseMs: 10, decodePerRequestMs: 1, kvTokens: 1000 }
    const [whole, quarter] = clusterOf({ groups: [{ engine }, { engine, speed: 0.25 }] }).instances
    expect(whole?.engine).toMatchObject({ prefillTokensPerS: 1000, decodeBaseMs: 10 })
    expect(quarter?.engine).toMatchObject({ prefillTokensPerS: 250, decodeBaseMs: 40, decodePerRequestMs: 4 })
  })

  it('says which field is wrong, and what would be right', () => {
    const wrong: [unknown, RegExp][] = [
      [{}, /"groups"/],
      [{ groups: [{ count: 0, device: 'H200 SXM', model }] }, /"groups.0.count"/],
      [{ groups: [{ device: 'H200 SXM' }] }, /"groups.0": give "engine".*or "model"/],
      [{ groups: [{ device: 'H2000', model }] }, /"H2000": it is not in the table of cards/],
      [{ groups: [{ device: 'RTX 406', model }] }, /"RTX 406": it may be .*RTX 4060 Ti/],
      [{ groups: [{ model }] }, /name a "device", or give "memoryGBs"/],
      [{ groups: [{ device: 'H200 SXM', model, slotz: 3 }] }, /slotz/],
      [
        { groups: [{ device: 'H200 SXM', model: { ...model, params: 4e11 } }] },
        /leave no room for a KV cache/,
      ],
      [{ groups: [{ device: 'H200 SXM', model }], failures: [{ instance: 1, atS: 0 }] }, /no instance 1/],
    ]
    for (const [content, message] of wrong) expect(() => clusterOf(content)).toThrow(message)
    expect(() => readCluster(join(folder, 'none.yaml'))).toThrow(/none.yaml cannot be read/)
  })
})
