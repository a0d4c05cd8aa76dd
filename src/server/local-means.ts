import type { Config } from '../config/index.ts'
import { measuredFacts, measurementsPath, readMeasurements } from '../engines/index.ts'
import { createDeviceFinder, deviceProbes, factsOf, hostSystem } from '../hardware/index.ts'
import type { Logger } from '../observability/index.ts'
import { workerDevices } from '../placement/index.ts'
import { chooseEngine, enginesOf } from './engine-choice.ts'
import { cpuPartsOf } from './machine.ts'
import { memoryBookPath, openMemoryBook } from './memory-book.ts'
import type { PlanMeans } from './planning.ts'
import { findRpcDevices, noLentDevices } from './rpc-devices.ts'

/** What plans for this machine are made with where no server runs: looked for now. Throws `engine_unavailable`. */
export async function localPlanMeans(config: Config, runDir: string, log: Logger): Promise<PlanMeans> {
  const finder = createDeviceFinder({
    system: hostSystem,
    probes: deviceProbes,
    factsOf,
    cpuParts: cpuPartsOf(config.devices),
  })
  const [{ engine, probe }, found, lending, measurements, book] = await Promise.all([
    chooseEngine(enginesOf(config, runDir, log), log),
    finder.find(),
    findRpcDevices(config),
    readMeasurements(measurementsPath(config.droverHome), (problem) => log.warn({}, problem)),
    openMemoryBook(memoryBookPath(config.droverHome), log),
  ])
  const by = { name: engine.name, version: probe.version }
  const { devices, problems } = workerDevices({
    hardware: found.devices.map((device) => ({
      ...device,
      facts: { ...device.facts, ...measuredFacts(measurements, device, by) },
    })),
    engineDevices: engine.name === 'ollama' ? undefined : probe.devices,
    chosen: config.devices,
    settings: config.gpuInstances,
    vulkanVisible: process.env['GGML_VK_VISIBLE_DEVICES'],
  })
  const lent = engine.name === 'llama.cpp' ? lending : noLentDevices
  for (const problem of [...found.problems, ...problems, ...lent.problems]) log.warn({}, problem)
  return { engine, devices: [...devices, ...lent.devices], links: found.links, book, degraded: () => false }
}
