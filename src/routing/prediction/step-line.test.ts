import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { memory } from './running-mean.ts'
import { createStepLine } from './step-line.ts'

describe('the line of decoding steps', () => {
  it('divides a single point between base and requests by the prior share', () => {
    const line = createStepLine(0.25)
    for (let i = 0; i < 50; i++) line.learn(30, 2, 1)
    expect(line.step.base).toBeCloseTo(20, 6)
    expect(line.step.perRequest).toBeCloseTo(5, 6)
  })

  it('foretells each batch to 5 % once batches vary, with a prior that is off by a factor of two', () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0.1, max: 500, noNaN: true }),
        fc.double({ min: 0.05, max: 2, noNaN: true }),
        fc.double({ min: 0.5, max: 2, noNaN: true }),
        (base, share, off) => {
          const truth = (batch: number) => base * (1 + share * batch)
          const line = createStepLine(share * off)
          for (let i = 0; i < 32; i++) line.learn(truth(1 + (i % 8)), 1 + (i % 8), 1)
          for (let batch = 1; batch <= 8; batch++) {
            const found = line.step.base + line.step.perRequest * batch
            expect(Math.abs(found / truth(batch) - 1)).toBeLessThan(0.05)
          }
        },
      ),
    )
  })

  it('is the one of least squares with the prior as one more row, as long as nothing is forgotten', () => {
    const points = [
      [20.5, 1],
      [20.9, 2],
      [22, 4],
      [24.3, 8],
      [21.6, 3],
    ] as const
    const line = createStepLine(0.01)
    for (const [y, batch] of points) line.learn(y, batch, 1)
    const { base, perRequest } = line.step
    const loss = (base: number, slope: number) =>
      points.reduce((sum, [y, batch]) => sum + (y - base - slope * batch) ** 2, 0) +
      0.5 * (slope - 0.01 * base) ** 2
    // Weights are evened for the length of the step, here by a tenth or two: so near is the least, not at it.
    expect(loss(base, perRequest)).toBeLessThan(1.1 * least(loss, base, perRequest))
  })

  it('takes a batch that never came before as news, not as an outlier', () => {
    const line = createStepLine(0.05)
    for (let i = 0; i < 20; i++) line.learn(10, 1, 1)
    for (let i = 0; i < 3; i++) line.learn(100, 32, 1)
    expect(line.step.base + line.step.perRequest).toBeLessThan(13)
    expect(line.step.base + line.step.perRequest * 32).toBeGreaterThan(80)
  })

  it('keeps its form when the speed changes: a batch that was not seen since is slower too', () => {
    const line = createStepLine(0.05)
    for (let i = 0; i < 32; i++) line.learn(10 + (1 + (i % 8)), 1 + (i % 8), 1)
    for (let i = 0; i < 3; i++) line.learn(3 * 14, 4, 1)
    expect(line.step.base + line.step.perRequest * 8).toBeCloseTo(3 * 18, 0)
  })

  it('never has a negative base or slope', () => {
    const point = fc.tuple(
      fc.double({ min: 1e-4, max: 1e7, noNaN: true }),
      fc.double({ min: 1, max: 1e4, noNaN: true }),
      fc.double({ min: 1e-3, max: 1, noNaN: true }),
    )
    fc.assert(
      fc.property(fc.array(point, { minLength: 1, maxLength: 40 }), (points) => {
        const line = createStepLine(0.05)
        for (const [value, batch, weight] of points) {
          line.learn(value, batch, weight)
          expect(line.step.base).toBeGreaterThanOrEqual(0)
          expect(line.step.perRequest).toBeGreaterThanOrEqual(0)
          expect(line.step.base + line.step.perRequest).toBeGreaterThan(0)
          expect(line.step.base + line.step.perRequest).toBeLessThan(1e12)
          expect(line.weight).toBeLessThanOrEqual(memory + 1e-9)
        }
      }),
    )
  })
})

/** The least value in the neighbourhood. */
function least(loss: (base: number, slope: number) => number, base: number, slope: number): number {
  const around = Array.from({ length: 41 }, (_, i) => (i - 20) / 20)
  return Math.min(...around.flatMap((db) => around.map((ds) => loss(base + db, slope + ds / 10))))
}
