import { mkdir } from 'node:fs/promises'
import { DroverError } from '../../inference/index.ts'
import type { Engine, EngineProbe } from '../contract.ts'
import { launchServer } from './launch.ts'
import { findServer, type ServerFacts } from './probe.ts'

/**
 * llama.cpp through its `llama-server`, one process an instance. `serverPath` is taken where given; else the
 * program is looked for on PATH and in `enginesDir`. Sockets and keys lie in `runDir`, in a folder an instance
 * that only this user can read.
 */
export function createLlamaCppEngine(options: {
  serverPath?: string
  enginesDir: string
  runDir: string
  log(message: string): void
}): Engine {
  let found: Promise<ServerFacts | { reason: string }> | undefined

  async function find(): Promise<ServerFacts | { reason: string }> {
    found ??= findServer(options)
    const facts = await found
    // What is missing now may be installed later.
    if (!('version' in facts)) found = undefined
    return facts
  }

  return {
    name: 'llama.cpp',

    async probe(): Promise<EngineProbe> {
      const facts = await find()
      if (!('version' in facts)) return { available: false, reason: facts.reason }
      const { version, path, devices, flags } = facts
      return { available: true, version, path, devices, flags }
    },

    async launch(spec, signal) {
      const facts = await find()
      if (!('version' in facts)) throw new DroverError('engine_unavailable', facts.reason)
      await mkdir(options.runDir, { recursive: true, mode: 0o700 })
      return launchServer(spec, facts, options, signal)
    },
  }
}
