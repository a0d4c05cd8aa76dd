import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine, EngineInstance, InstanceSpec } from '../../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import { never } from '../llama-bench.ts'

/** What the suite runs on; filled by `open`. */
export interface ContractBench {
  engine: Engine
  folder: string
  /** An instance of a trained model, whose answers at temperature 0 no rounding changes. */
  trained: EngineInstance
  /** An instance of random weights that never end an answer. */
  endless: EngineInstance
  endlessPath: string
  /** Another instance of the endless model. */
  launch(changes?: Partial<InstanceSpec>): Promise<EngineInstance>
  open(engine: Engine, trainedPath: string): Promise<void>
  remove(): Promise<void>
}

/** Of an instance that has nothing to do. */
export const idle = { running: 0, waiting: 0 }

/** A question to the bundled model, in its own chat format. */
export const asked = (question: string) => `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`

export function specOf(modelPath: string, changes: Partial<InstanceSpec> = {}): InstanceSpec {
  return {
    id: 'contract',
    modelName: 'contract',
    modelPath,
    projectorPaths: [],
    adapterPaths: [],
    contextLength: 512,
    slots: 4,
    embedding: false,
    gpuLayers: 0,
    threads: 1,
    flashAttention: 'auto',
    kvCacheType: 'f16',
    contextShift: false,
    stallTimeoutMs: 30_000,
    ...changes,
  }
}

export function createBench(): ContractBench {
  const unopened = {} as Pick<ContractBench, 'engine' | 'folder' | 'trained' | 'endless' | 'endlessPath'>
  const bench: ContractBench = Object.assign(unopened, {
    launch: (changes?: Partial<InstanceSpec>) =>
      bench.engine.launch(specOf(bench.endlessPath, changes), never),
    async open(engine: Engine, trainedPath: string) {
      bench.engine = engine
      bench.folder = await mkdtemp(join(tmpdir(), 'drover-contract-'))
      bench.endlessPath = join(bench.folder, 'endless.gguf')
      await writeSyntheticGguf(bench.endlessPath, { endless: true, layers: 2, seed: 3 })
      bench.trained = await engine.launch(specOf(trainedPath), never)
      bench.endless = await bench.launch()
    },
    async remove() {
      await Promise.all([bench.trained?.close(), bench.endless?.close()])
      if (bench.folder) await rm(bench.folder, { recursive: true, force: true })
    },
  })
  return bench
}
