import { afterAll, beforeAll, describe } from 'vitest'
import type { Engine } from '../../src/engines/index.ts'
import { describeAnswers } from './engine-contract/answers.ts'
import { type Abilities, createBench, everything } from './engine-contract/bench.ts'
import { describeInstances } from './engine-contract/instances.ts'
import { describeRequests } from './engine-contract/requests.ts'
import { describeResume } from './engine-contract/resume.ts'

/**
 * What every engine has to do, checked on a real one. `modelPath` is the bundled model; what needs only tokens
 * runs on random weights. What an engine is not able to do is not asked of it, or has to be refused.
 */
export function engineContract(
  name: string,
  createEngine: () => Promise<Engine>,
  modelPath: string,
  abilities: Abilities = everything,
): void {
  describe(`${name} as an engine`, () => {
    const bench = createBench(abilities)
    beforeAll(async () => bench.open(await createEngine(), modelPath), 300_000)
    afterAll(bench.remove)

    describeAnswers(bench)
    describeRequests(bench)
    describeInstances(bench)
    describeResume(bench)
  })
}
