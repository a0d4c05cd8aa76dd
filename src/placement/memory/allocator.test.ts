import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { bufferBytes, createGraph, input, step, type Tensor, view } from './allocator.ts'

describe('the buffer of a computation', () => {
  it('uses memory again once nothing needs what was in it', () => {
    const graph = createGraph()
    let last = input(graph, 1024)
    for (let count = 0; count < 10; count++) last = step(graph, 1024, [last])
    expect(bufferBytes(graph)).toBe(2048)
  })

  it('overwrites a source that only this step needs', () => {
    const graph = createGraph()
    const first = step(graph, 1024, [input(graph, 128)])
    step(graph, 1024, [view(graph, step(graph, 1024, [first], { inplace: true }))], { inplace: true })
    expect(bufferBytes(graph)).toBe(1152)
  })

  it('keeps what has another reader, a view, or is a result', () => {
    const graph = createGraph()
    const shared = step(graph, 1024, [input(graph, 128)])
    const changed = step(graph, 1024, [shared], { inplace: true })
    step(graph, 128, [shared, changed], { role: 'output' })
    // The result goes where the input was.
    expect(bufferBytes(graph)).toBe(128 + 2 * 1024)
  })

  it('takes the smallest hole that is large enough', () => {
    const graph = createGraph()
    const start = input(graph, 128)
    const large = step(graph, 4096, [start])
    const wall = step(graph, 128, [start])
    const small = step(graph, 1024, [start])
    const end = step(graph, 128, [start, large, small])
    // Two holes are left, of 4096 and of 1024 bytes.
    const again = step(graph, 1000, [end])
    step(graph, 4096, [again, wall, end])
    expect(bufferBytes(graph)).toBe(128 + 4096 + 128 + 1024 + 128)
  })

  it('keeps several copies of inputs where batches overlap', () => {
    const graph = createGraph(4)
    step(graph, 1024, [input(graph, 1024)], { role: 'output' })
    expect(bufferBytes(graph)).toBe(4 * 1024 + 1024)
  })

  it('is never smaller than what one step needs at once, nor larger than everything together', () => {
    const plan = fc.array(
      fc.record({
        bytes: fc.integer({ min: 1, max: 10_000 }),
        from: fc.array(fc.nat(100), { maxLength: 3 }),
        inplace: fc.boolean(),
      }),
      { minLength: 1, maxLength: 40 },
    )
    fc.assert(
      fc.property(plan, (steps) => {
        const graph = createGraph()
        const made: Tensor[] = [input(graph, 500)]
        for (const { bytes, from, inplace } of steps) {
          const sources = [...new Set(from.map((index) => made[index % made.length] as Tensor))]
          made.push(step(graph, bytes, sources, { inplace }))
        }
        const aligned = (bytes: number) => Math.ceil(bytes / 128) * 128
        const all = made.reduce((sum, { bytes }) => sum + aligned(bytes), 0)
        const largest = Math.max(...made.map(({ bytes }) => bytes))
        const total = bufferBytes(graph)
        expect(total).toBeLessThanOrEqual(all)
        expect(total).toBeGreaterThanOrEqual(largest)
      }),
    )
  })
})
