import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Engine, EngineInstance, InstanceSpec } from '../../../src/engines/index.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import { never } from '../llama-bench.ts'

/** What an engine's own interface lets it do. */
export interface Abilities {
  /** Prompts may be tokens, answers come with those that were sampled, special ones are shown where asked for. */
  tokens: boolean
  /** It tells the progress of a prompt, how much of it was cached, and the stop string that ended an answer. */
  details: boolean
  /** It loads any file as the spec says; else only what is in a store, as the store says. */
  files: boolean
}

export const everything: Abilities = { tokens: true, details: true, files: true }

/** What the suite runs on; filled by `open`. */
export interface ContractBench {
  abilities: Abilities
  engine: Engine
  folder: string
  /** An instance of a trained model, whose answers at temperature 0 no rounding changes. */
  trained: EngineInstance
  /** An instance of random weights that never end an answer. */
  endless: EngineInstance
  endlessPath: string
  trainedPath: string
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

/** A prompt of so many tokens: the tokens where the engine takes them, else a text that has so many. */
export async function promptOf(
  bench: ContractBench,
  count: number,
  from = 300,
  instance = bench.endless,
): Promise<string | number[]> {
  const tokens = Array.from({ length: count }, (_, index) => from + ((index * 7) % 300))
  if (bench.abilities.tokens) return tokens
  let text = await instance.detokenize(tokens)
  for (;;) {
    const excess = (await instance.tokenize(text, { addSpecial: true })).length - count
    if (excess === 0) return text
    // One letter by itself is never more than a token, and what is cut away is seldom more than it was.
    text = excess > 0 ? text.slice(0, -excess) : `${text} a`
  }
}

export function createBench(abilities: Abilities): ContractBench {
  const unopened = {} as Pick<
    ContractBench,
    'engine' | 'folder' | 'trained' | 'endless' | 'endlessPath' | 'trainedPath'
  >
  const bench: ContractBench = Object.assign(unopened, {
    abilities,
    launch: (changes?: Partial<InstanceSpec>) =>
      bench.engine.launch(specOf(bench.endlessPath, changes), never),
    async open(engine: Engine, trainedPath: string) {
      bench.engine = engine
      bench.trainedPath = trainedPath
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
