import type { DeviceDirectory, MultiGpuControl } from '../api/index.ts'
import type { Config } from '../config/index.ts'
import { type Clock, systemClock } from '../core/index.ts'
import { measuredFacts, measurementsPath, readMeasurements } from '../engines/index.ts'
import {
  cpuDevices,
  createDeviceFinder,
  type Device,
  deviceProbes,
  factsOf,
  hostSystem,
  type Inventory,
  readCpu,
} from '../hardware/index.ts'
import { asDroverError } from '../inference/index.ts'
import type { ModelStore } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'
import { modelsPerDevice } from '../placement/index.ts'
import { createPool, createRouter, type Router } from '../routing/index.ts'
import { createDeployments } from './deployments.ts'
import { deviceReport, unusedReport } from './device-report.ts'
import { type Watcher, watchDevices } from './device-watch.ts'
import { type ChosenEngine, chooseEngine, enginesOf, listsDevices } from './engine-choice.ts'
import { cpuPartsOf, createMachine, type Machine } from './machine.ts'
import { type MemoryBook, memoryBookPath, openMemoryBook } from './memory-book.ts'
import { type OwnForms, readModelFolders } from './model-folders.ts'
import { needsOf, wishOf } from './plan-load.ts'
import type { PlanMeans } from './planning.ts'
import { openRequestHistory, requestHistoryPath } from './request-history.ts'
import { createRoutingParts, sessionDirOf } from './routing-parts.ts'
import { type RpcWatch, watchRpcDevices } from './rpc-devices.ts'

/** What there is to run models with, once it is known. */
interface Means extends ChosenEngine {
  watcher: Watcher
  rpc: RpcWatch
  book: MemoryBook
  ownForms: OwnForms
  /** As the last scan found them. */
  machine(): Machine
  inventory(): Inventory
}

/** What serves requests on this node. */
export interface Worker {
  router: Router
  devices: DeviceDirectory
  /** How models lie over the devices. */
  deployments: MultiGpuControl
  /** What plans are made with; rejects where no engine was found. */
  planMeans(): Promise<PlanMeans>
}

/** Devices, engines, models in memory, and the way to them. */
export function createWorker(
  config: Config,
  store: ModelStore,
  runDir: string,
  log: Logger,
  clock: Clock = systemClock,
): Worker {
  const cpuParts = cpuPartsOf(config.devices)
  // Cores that are not there are refused before anything listens.
  cpuDevices(readCpu(hostSystem), cpuParts)
  const finder = createDeviceFinder({ system: hostSystem, probes: deviceProbes, factsOf, cpuParts })
  // Begins now, while nothing is urgent, so that the first load need not wait for it.
  const means = findMeans()
  let known: Means | undefined
  means.then(
    (found) => {
      known = found
    },
    (error) => log.error({ reason: error.message }, 'no engine'),
  )

  async function findMeans(): Promise<Means> {
    const [chosen, found, book, ownForms] = await Promise.all([
      chooseEngine(enginesOf(config, runDir, log), log),
      finder.find(),
      openMemoryBook(memoryBookPath(config.droverHome), log),
      readModelFolders(config.modelFolders, log),
    ])
    const measured = await createMeasured(chosen, config, log)
    let inventory = measured(found)
    const watcher = watchDevices({
      inventory: () => inventory,
      onLost: (deviceId, reason) => {
        pool.deviceLost(deviceId, reason)
        // What a card is that has come back, only a scan tells.
        if (reason === undefined) void finder.rescan()
      },
      log,
    })
    const listed = listsDevices(chosen.engine.name) ? chosen.probe.devices : undefined
    const usesLent = chosen.engine.name === 'llama.cpp'
    const rpc = watchRpcDevices({
      config: usesLent ? config : { ...config, rpcWorkers: [] },
      engineVersion: chosen.probe.version,
      changed: () => {
        machine = machineNow()
      },
      onLost: pool.deviceLost,
      clock,
      log,
    })
    const machineNow = () => createMachine(config, inventory.devices, listed, watcher, rpc.lent())
    let machine = machineNow()
    await rpc.look()
    finder.onScan((scanned) => {
      inventory = measured(scanned)
      machine = machineNow()
    })
    // The watch has told its own.
    const told = new Set(rpc.lent().problems)
    for (const problem of [...inventory.problems, ...machine.problems]) {
      if (!told.has(problem)) log.warn({}, problem)
    }
    logDevices(machine, log)
    return {
      ...chosen,
      engine: rpc.around(book.watch(chosen.engine)),
      book,
      ownForms,
      watcher,
      rpc,
      machine: () => machine,
      inventory: () => inventory,
    }
  }

  const machineFacts = () => known?.machine().facts() ?? { devices: [], limitBytes: 0 }
  const sessionDir = sessionDirOf(config, runDir)
  const { router: routerParts, ...parts } = createRoutingParts(config, sessionDir, log)
  const pool = createPool({
    ...parts,
    limits: {
      get maxLoadedModels() {
        const gpus = known?.machine().devices.filter(({ kind }) => kind === 'gpu').length ?? 0
        return config.maxLoadedModels || modelsPerDevice * Math.max(1, gpus)
      },
      get handOverAfterMs() {
        return config.handOverAfterMs
      },
      keeps: (key) => deployments.expects(key),
      get defragments() {
        const { memory, scheduling } = config.multiGpu
        return memory.defragmentation && scheduling.migration.enabled
      },
      get maxRequests() {
        return requestLimits(known?.machine())
      },
    },
    get defaultKeepAliveMs() {
      return config.keepAliveMs
    },
    engine: async () => (await means).engine,
    machine: () => deployments.held(machineFacts()),
    probeDevice: async (deviceId) => {
      if (known?.machine().devices.some(({ id, kind }) => id === deviceId && kind === 'server')) return true
      if (known?.rpc.lends(deviceId)) return true
      const { devices } = await finder.rescan()
      return devices.some(({ id, state }) => id === deviceId && state === 'ok')
    },
    clock,
    log,
  })
  const router = createRouter({
    store,
    pool,
    ...routerParts,
    get silenceMs() {
      return config.silenceTimeoutMs
    },
    get hedger() {
      return config.hedge ? routerParts.hedger : undefined
    },
    ...(config.goTemplate !== undefined && { prefersGoTemplate: config.goTemplate }),
    asked: ({ key, description: { stored } }) => deployments.asked(key, stored.displayName),
    wishOf: async (model, options, routing) => {
      const { engine, machine, inventory, book, ownForms } = await means
      return wishOf(model, options, routing, {
        config: { ...config, sessionDir },
        engine: engine.nameFor?.(needsOf(model)) ?? engine.name,
        book,
        ownForms,
        devices: () => machine().devices,
        links: () => inventory().links,
      })
    },
    clock,
  })
  const requests = openRequestHistory(requestHistoryPath(config.droverHome), clock.now(), log)
  const deployments = createDeployments({
    config,
    pool,
    router,
    machine: machineFacts,
    clock,
    requests,
    log,
  })
  return {
    deployments,
    router: {
      ...router,
      close: async (options) => {
        deployments.close()
        known?.rpc.close()
        known?.watcher.close()
        await router.close(options)
        await known?.book.saved()
        await requests.saved()
      },
    },
    async planMeans() {
      const { engine, machine, watcher, inventory, book } = await means
      return {
        engine,
        devices: machine().devices,
        links: inventory().links,
        book,
        degraded: watcher.degraded,
      }
    },
    devices: {
      report: async () => {
        try {
          const { machine, watcher, inventory } = await means
          return deviceReport(inventory(), machine(), watcher, pool)
        } catch (error) {
          return unusedReport(await finder.find(), asDroverError(error).message)
        }
      },
    },
  }
}

/** What `drover bench devices` has measured takes the place of what the specification table says. */
async function createMeasured(
  { engine, probe }: ChosenEngine,
  { droverHome }: Config,
  log: Logger,
): Promise<(inventory: Inventory) => Inventory> {
  const measurements = await readMeasurements(measurementsPath(droverHome), (problem) =>
    log.warn({}, problem),
  )
  const by = { name: engine.name, version: probe.version }
  const withFacts = (device: Device): Device => ({
    ...device,
    facts: { ...device.facts, ...measuredFacts(measurements, device, by) },
  })
  return (inventory) => ({ ...inventory, devices: inventory.devices.map(withFacts) })
}

function logDevices({ devices }: Machine, log: Logger): void {
  for (const { id, device, memoryTotalBytes, fallback } of devices) {
    log.info({ device: id, name: device.name, memoryBytes: memoryTotalBytes, fallback }, 'device found')
  }
}

function requestLimits(machine: Machine | undefined): ReadonlyMap<string, number> {
  const limits = new Map<string, number>()
  for (const { id, settings } of machine?.devices ?? []) {
    if (settings.maxConcurrentRequests !== undefined) limits.set(id, settings.maxConcurrentRequests)
  }
  return limits
}
