import type { Engine, EngineProbe } from '../engines/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'

export type AvailableProbe = EngineProbe & { available: true }

/** An engine that answered its probe. */
export interface ChosenEngine {
  engine: Engine
  probe: AvailableProbe
}

/**
 * The first of the engines that this machine has. Throws `engine_unavailable` with every engine's reason when it
 * has none.
 */
export async function chooseEngine(engines: readonly Engine[], log: Logger): Promise<ChosenEngine> {
  const reasons: string[] = []
  for (const engine of engines) {
    const probe = await engine.probe()
    if (probe.available) {
      const devices = probe.devices.map((device) => `${device.name} ${device.description}`)
      log.info({ engine: engine.name, version: probe.version, path: probe.path, devices }, 'engine found')
      return { engine, probe }
    }
    reasons.push(`${engine.name}: ${probe.reason}`)
  }
  throw new DroverError('engine_unavailable', `no engine can run models here. ${reasons.join('; ')}`)
}
