import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { textWidth } from '../../core/index.ts'
import { findFamous } from '../famous.ts'
import { parseGpuList } from '../inventory/index.ts'
import { planModel } from '../planner/index.ts'
import { barParts, cellsOf } from './bar.ts'
import { drawPlan } from './draw.ts'
import { instanceOf, memoryOf, namedModel, partOf, planOf } from './testing.ts'

const pair = parseGpuList('2x3090 nvlink,p40,cpu:64')
const split = planOf([
  instanceOf([
    partOf(pair, 0, { layers: [0, 40], memory: memoryOf(19.5, 2, 0.4, 0.5) }),
    partOf(pair, 1, { stage: 1, layers: [40, 80], output: true, memory: memoryOf(20, 1, 0.9, 0.5) }),
  ]),
])

describe('the picture of a plan', () => {
  it('has a bar a device, its layers, the host, links and what is not used', () => {
    expect(
      drawPlan(split, namedModel, pair),
    ).toBe(`llama3.1:70b (Q4_K_M): pipeline over 2 devices by llama.cpp

1 slot of 8192 tokens, KV cache f16
  CUDA0 RTX 3090 ████████████████████████▓▓▓▒·· 22.4/24.0 GiB layers 0-39
  CUDA1 RTX 3090 █████████████████████████▓▒▒·· 22.4/24.0 GiB layers 40-79, head
  host memory    █·····························  0.6/57.6 GiB input embedding
  links: NVLink 56 GB/s

not used: Tesla P40

█ weights   ▓ KV cache   ▒ buffers   · free
`)
  })

  it('draws alike copies and alike devices once', () => {
    const eight = parseGpuList('8x4090')
    const copies = planOf(
      eight.devices.map((_, at) => instanceOf([partOf(eight, at, { output: true })])),
      { strategy: 'data' },
    )
    const text = drawPlan(copies, namedModel, eight)
    expect(text).toContain('8 copies, over 8 devices')
    expect(text).toContain('x8 one on each of CUDA0-7\n')
    expect(text.match(/RTX 4090/g)).toHaveLength(1)
    const tensor = planOf([
      instanceOf(
        eight.devices.map((_, at) => partOf(eight, at, { share: 1 / 8, output: true })),
        { splitMode: 'tensor', tensorSize: 8 },
      ),
    ])
    expect(drawPlan(tensor, namedModel, eight)).toMatch(/8 x RTX 4090 .* 1\/8 of layers 0-79, head\n/)
  })

  it('parts the nodes, and names the network between them', () => {
    const boxes = parseGpuList('3090 / 3090 @10gbe')
    const plan = planOf([
      instanceOf([
        partOf(boxes, 0, { layers: [0, 40] }),
        partOf(boxes, 1, { stage: 1, layers: [40, 80], output: true, remote: true }),
      ]),
    ])
    expect(drawPlan(plan, namedModel, boxes)).toMatch(
      /\nnode1\n {2}CUDA0 .*\n {2}host memory .*\nnode2\n {2}CUDA0 .*head\n {2}links: network 1.2 GB\/s\n/,
    )
  })

  it('tells the experts in host memory, and layers of the CPU', () => {
    const plan = planOf([
      instanceOf(
        [
          partOf(pair, 0, { layers: [10, 36], hostExperts: [10, 11, 12], output: true }),
          { ...partOf(pair, 0), deviceId: 'node1', kind: 'cpu', layers: [0, 10], memory: memoryOf(5, 1) },
        ],
        { host: memoryOf(30) },
      ),
    ])
    expect(drawPlan(plan, namedModel, pair)).toContain(' layers 10-35, head\n')
    expect(drawPlan(plan, namedModel, pair, { width: 100 })).toMatch(
      /CPU and host memory .* 36\.0\/57\.6 GiB layers 0-9, experts of la…\n/,
    )
  })

  it('has colours on demand, and reads the same without', () => {
    const colored = drawPlan(split, namedModel, pair, { color: true })
    expect(colored).toContain('\u001b[36m█')
    const escapes = new RegExp(`${String.fromCharCode(27)}\\[\\d+m`, 'g')
    expect(colored.replace(escapes, '')).toBe(drawPlan(split, namedModel, pair))
  })

  it('keeps within 80 columns for whatever the planner makes', () => {
    const clusters = [
      '8x4090',
      '4090,3090,3060,p40',
      '4090,cpu:128',
      '8xH200,cpu:1024',
      'm2 ultra:192',
      '12x3090 / 4x7900xtx @10gbe',
      '3060,cpu:64',
    ]
    for (const model of [
      'llama3.1:8b',
      'llama3.1:70b',
      'gpt-oss:120b',
      'deepseek-r1:671b',
      'llama3.1:405b-bf16',
    ]) {
      for (const gpus of clusters) {
        const inventory = parseGpuList(gpus)
        const subject = findFamous(model) ?? namedModel
        const result = planModel(subject, inventory, { defaultContextLength: 8192 })
        if (!result.ok) continue
        const lines = result.plans.flatMap((plan) => drawPlan(plan, subject, inventory).split('\n'))
        expect(Math.max(...lines.map(textWidth))).toBeLessThanOrEqual(80)
        expect(lines.join('')).not.toMatch(/NaN|undefined|Infinity/)
      }
    }
  }, 120_000)

  it('keeps within the width, whatever names and sizes are', () => {
    const name = fc.oneof(
      fc.string({ unit: 'grapheme' }),
      fc.constantFrom('深度求索 显卡', 'é👩‍👩‍👧 card', 'a\u001b[2Jb\n'),
    )
    const size = fc.double({ min: 0, max: 30, noNaN: true })
    const part = fc.record({
      at: fc.nat(2),
      sizes: fc.tuple(size, size, size, size, size, size),
      first: fc.nat(200),
      count: fc.nat(200),
    })
    fc.assert(
      fc.property(
        fc.array(part, { minLength: 1, maxLength: 5 }),
        name,
        fc.integer({ min: 60, max: 140 }),
        (parts, word, width) => {
          const inventory = {
            ...pair,
            devices: pair.devices.map((device) => ({
              ...device,
              name: word,
              engineName: `${word}${device.id}`,
            })),
          }
          const plan = planOf([
            instanceOf(
              parts.map(({ at, sizes, first, count }, stage) =>
                partOf(inventory, at, { stage, layers: [first, first + count], memory: memoryOf(...sizes) }),
              ),
            ),
          ])
          const text = drawPlan(plan, { ...namedModel, name: word }, inventory, { width })
          expect(text.endsWith('\n')).toBe(true)
          for (const line of text.split('\n')) {
            expect(textWidth(line)).toBeLessThanOrEqual(width)
            expect(/\p{Cc}/u.test(line)).toBe(false)
          }
        },
      ),
    )
  })
})

describe('the cells of a bar', () => {
  it('fill the bar, and show what is used by one at least', () => {
    const bytes = fc.double({ min: 0, max: 1e12, noNaN: true })
    const sizes = fc.record({
      weights: bytes,
      kvCache: bytes,
      buffers: bytes,
      extras: bytes,
      free: bytes,
      kept: bytes,
    })
    fc.assert(
      fc.property(sizes, fc.integer({ min: 8, max: 100 }), (all, width) => {
        const cells = cellsOf(all, width)
        const total = Object.values(all).reduce((sum, size) => sum + size, 0)
        expect(barParts.reduce((sum, part) => sum + cells[part], 0)).toBe(width)
        expect(barParts.every((part) => cells[part] >= 0)).toBe(true)
        if (all.weights > total / 100) expect(cells.weights).toBeGreaterThan(0)
      }),
    )
  })
})
