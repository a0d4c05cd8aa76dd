import type { Config } from '../config/index.ts'
import { systemClock } from '../core/index.ts'
import { createEmbeddedEngine, createLlamaCppEngine, type Engine, superviseEngine } from '../engines/index.ts'
import { createDeviceFinder, hostSystem, noFacts } from '../hardware/index.ts'
import type { ModelStore } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import { modelsPerDevice } from '../placement/index.ts'
import { createPool, createRouter, type Router } from '../routing/index.ts'
import { type ChosenEngine, chooseEngine } from './engine-choice.ts'
import { cpuPartsOf, createMachine, type Machine } from './machine.ts'
import { wishOf } from './plan-load.ts'

/** What there is to run models with, once it is known. */
interface Means extends ChosenEngine {
  machine: Machine
}

/** Devices, engines, models in memory, and the way to them. */
export function createWorker(config: Config, store: ModelStore, runDir: string, log: Logger): Router {
  const finder = createDeviceFinder({
    system: hostSystem,
    probes: [],
    factsOf: noFacts,
    cpuParts: cpuPartsOf(config.devices),
  })
  // Begins now, while nothing is urgent, so that the first load need not wait for it.
  const means = findMeans()
  let machine: Machine | undefined
  means.then(
    (found) => {
      machine = found.machine
    },
    (error) => log.error({ reason: error.message }, 'no engine'),
  )

  async function findMeans(): Promise<Means> {
    const [chosen, { devices }] = await Promise.all([
      chooseEngine(enginesOf(config, runDir, log), log),
      finder.find(),
    ])
    const watch = { sensors: () => undefined, degraded: () => false }
    const found = createMachine(config, devices, chosen.probe.devices, watch)
    for (const problem of found.problems) log.warn({}, problem)
    return { ...chosen, machine: found }
  }

  const pool = createPool({
    limits: {
      get maxLoadedModels() {
        const gpus = machine?.devices.filter(({ kind }) => kind === 'gpu').length ?? 0
        return config.maxLoadedModels || modelsPerDevice * Math.max(1, gpus)
      },
      maxWaiting: config.maxQueue,
      get maxRequests() {
        return requestLimits(machine)
      },
    },
    defaultKeepAliveMs: config.keepAliveMs,
    engine: async () => (await means).engine,
    machine: () => machine?.facts() ?? { devices: [], limitBytes: 0 },
    probeDevice: async (deviceId) => {
      const { devices } = await finder.rescan()
      return devices.some(({ id, state }) => id === deviceId && state === 'ok')
    },
    clock: systemClock,
    log,
  })
  return createRouter({
    store,
    pool,
    ...(config.goTemplate !== undefined && { prefersGoTemplate: config.goTemplate }),
    wishOf: async (model, options) => {
      const { engine, machine } = await means
      return wishOf(model, options, config, machine.devices, engine.name)
    },
    clock: systemClock,
  })
}

function requestLimits(machine: Machine | undefined): ReadonlyMap<string, number> {
  const limits = new Map<string, number>()
  for (const { id, settings } of machine?.devices ?? []) {
    if (settings.maxConcurrentRequests !== undefined) limits.set(id, settings.maxConcurrentRequests)
  }
  return limits
}

function enginesOf(config: Config, runDir: string, log: Logger): Engine[] {
  const llamaCpp = createLlamaCppEngine({
    enginesDir: config.enginesDir,
    runDir,
    log: (message) => log.debug({ engine: 'llama.cpp' }, message),
    ...(config.llamaServerPath !== undefined && { serverPath: config.llamaServerPath }),
  })
  const embedded = createEmbeddedEngine({ log: (message) => log.debug({ engine: 'embedded' }, message) })
  const byChoice = {
    auto: [llamaCpp, embedded],
    'llama.cpp': [llamaCpp],
    embedded: [embedded],
    ollama: [],
  }
  return byChoice[config.engine].map((engine) =>
    superviseEngine(engine, { hangTimeoutMs: config.hangTimeoutMs, clock: systemClock }),
  )
}
