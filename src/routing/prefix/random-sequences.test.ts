import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createPrefixIndex, type PrefixBlocks, type PrefixIndex } from './index.ts'
import { createReference, promptOf, range } from './testing.ts'

const instances = range(0, 4)

/** Prompts that share beginnings and part anywhere: each turns once from one run of contents to another. */
const prompt = fc
  .record({
    common: fc.integer({ min: 0, max: 50 }),
    own: fc.integer({ min: 0, max: 50 }),
    branch: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ common, own, branch }) =>
    promptOf([...range(0, common), ...range(100 * branch, 100 * branch + own)]),
  )

const instance = fc.integer({ min: 0, max: instances.length - 1 })
const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('insert' as const), instance, prompt }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('correct' as const), instance, prompt, blocks: fc.nat(100) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('evict' as const), instance, prompt, blocks: fc.nat(100) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constant('setCapacity' as const), instance, blocks: fc.nat(150) }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('forget' as const), instance }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.nat(600) }) },
)
type Operation = typeof operation extends fc.Arbitrary<infer T> ? T : never

type Reference = ReturnType<typeof createReference>

function apply(index: PrefixIndex, reference: Reference, step: Operation, nowMs: number): void {
  switch (step.type) {
    case 'insert':
      index.insert(step.instance, step.prompt, nowMs)
      reference.insert(step.instance, step.prompt)
      break
    case 'correct':
      index.correct(step.instance, step.prompt, step.blocks, nowMs)
      reference.correct(step.instance, step.prompt, step.blocks)
      break
    case 'evict':
      index.evict(step.instance, step.prompt, step.blocks, nowMs)
      reference.evict(step.instance, step.prompt, step.blocks)
      break
    case 'setCapacity':
      index.setCapacity(step.instance, step.blocks)
      reference.setCapacity(step.instance, step.blocks)
      break
    case 'forget':
      index.forget(step.instance)
      reference.forget(step.instance)
  }
}

/** Plays the operations, one millisecond apart, and calls `check` after each. */
function play(
  steps: readonly Operation[],
  index: PrefixIndex,
  reference: Reference,
  check: (asked: PrefixBlocks, nowMs: number) => void,
): number {
  let nowMs = 0
  for (const step of steps) {
    nowMs += step.type === 'wait' ? step.ms : 1
    reference.expire(nowMs)
    apply(index, reference, step, nowMs)
    check('prompt' in step ? step.prompt : promptOf(range(0, 50)), nowMs)
  }
  return nowMs
}

it('knows exactly what a plain table of last uses knows, while the budget suffices', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), (steps) => {
      const index = createPrefixIndex({ budgetBytes: 400_000, maxAgeMs: 1000 })
      const reference = createReference(1000)
      play(steps, index, reference, (asked, nowMs) => {
        const found = index.match(asked, nowMs)
        expect(found.toSorted((a, b) => b.blocks - a.blocks || a.instance - b.instance)).toEqual(
          reference.match(asked),
        )
        expect(found.map(({ blocks }) => blocks)).toEqual(reference.match(asked).map(({ blocks }) => blocks))
        for (const id of instances) expect(index.heldBy(id, asked, nowMs)).toBe(reference.heldBy(id, asked))
        expect(index.stats().records).toBe(reference.records())
      })
    }),
    { numRuns: 3000 },
  )
})

it('finds the longest first, however few are asked for', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 30 }), fc.nat(5), (steps, limit) => {
      const index = createPrefixIndex({ budgetBytes: 400_000, maxAgeMs: 1000 })
      const reference = createReference(1000)
      play(steps, index, reference, (asked, nowMs) => {
        const few = index.match(asked, nowMs, limit)
        expect(few.map(({ blocks }) => blocks)).toEqual(
          reference
            .match(asked)
            .slice(0, limit)
            .map(({ blocks }) => blocks),
        )
        expect(new Set(few.map((one) => one.instance)).size).toBe(few.length)
      })
    }),
    { numRuns: 1000 },
  )
})

it('keeps to its budget, claims nothing that nobody was sent, and leaves nothing behind', () => {
  fc.assert(
    fc.property(
      fc.array(operation, { maxLength: 30 }),
      fc.integer({ min: 2200, max: 12_000 }),
      (steps, budgetBytes) => {
        const index = createPrefixIndex({ budgetBytes, maxAgeMs: 1000 })
        const everything = createReference(1000)
        const uncapped = steps.filter((step) => step.type !== 'setCapacity')
        const nowMs = play(uncapped, index, everything, (asked, nowMs) => {
          expect(index.stats().bytes).toBeLessThanOrEqual(budgetBytes)
          for (const id of instances)
            expect(index.heldBy(id, asked, nowMs)).toBeLessThanOrEqual(everything.heldBy(id, asked))
        })
        for (const id of instances) index.forget(id)
        expect(index.stats().records).toBe(0)
        // Not a cell is lost: the same budget takes as much as at first.
        const fresh = createPrefixIndex({ budgetBytes, maxAgeMs: 1000 })
        const long = promptOf(range(1000, 1500))
        for (const either of [index, fresh]) either.insert(9, long, nowMs)
        expect(index.heldBy(9, long, nowMs)).toBe(fresh.heldBy(9, long, nowMs))
        expect(fresh.heldBy(9, long, nowMs)).toBeGreaterThan(0)
      },
    ),
    { numRuns: 10_000 },
  )
})

it('survives hashes that are no chain, as a collision makes them', () => {
  const hashes = fc.array(fc.integer({ min: 0, max: 6 }), { maxLength: 30 })
  const act = fc.constantFrom('insert', 'correct', 'evict')
  const steps = fc.array(fc.record({ instance, hashes, blocks: fc.nat(30), act }), {
    maxLength: 20,
  })
  fc.assert(
    fc.property(steps, fc.integer({ min: 2200, max: 8000 }), (sequence, budgetBytes) => {
      const index = createPrefixIndex({ budgetBytes, maxAgeMs: Number.POSITIVE_INFINITY })
      for (const [at, { instance, hashes, blocks, act }] of sequence.entries()) {
        const asked = { hashes, blockTokens: 16, promptTokens: hashes.length * 16 }
        if (act === 'correct') index.correct(instance, asked, blocks, at)
        else if (act === 'evict') index.evict(instance, asked, blocks, at)
        else index.insert(instance, asked, at)
        index.setCapacity(instance, 40)
        for (const { blocks } of index.match(asked, at)) expect(blocks).toBeLessThanOrEqual(hashes.length)
      }
      for (const id of instances) index.forget(id)
      expect(index.stats().records).toBe(0)
    }),
    { numRuns: 2000 },
  )
})
