import type { Engine, EngineProbe } from '../contract.ts'
import { launch } from './launch.ts'
import { probe } from './probe.ts'

/**
 * llama.cpp inside Drover's own package (node-llama-cpp), one child process an instance: what runs models where
 * nothing else is installed.
 */
export function createEmbeddedEngine({ log }: { log(message: string): void }): Engine {
  let probed: Promise<EngineProbe> | undefined
  return {
    name: 'embedded',
    probe: () => {
      probed ??= probe()
      return probed
    },
    launch: (spec, signal) => launch(spec, log, signal),
  }
}
