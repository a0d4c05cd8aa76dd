import type { Clock } from '../../core/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { DeviceProbe, DeviceReading, HostSystem } from '../contract.ts'

/** A probe that takes longer is left behind: the others go on, and it is asked again when it has come back. */
const slowMs = 2000

export interface SamplerOptions {
  system: HostSystem
  clock: Clock
  log: Logger
  /** Called with what a probe answered, also when it took long. */
  onReadings(probe: DeviceProbe, readings: readonly DeviceReading[]): void
}

export interface Sampler {
  /** Asks a probe for its sensors, unless it still owes an answer. */
  ask(probe: DeviceProbe): void
  /** No answer is passed on any more. */
  close(): void
}

interface Asked {
  sinceMs: number
  /** Its slowness, or its failure, has been told. */
  told: boolean
  waiting: boolean
}

/** Asks each probe at most once at a time, and says once when one is slow or fails, and when it is well again. */
export function createSampler({ system, clock, log, onReadings }: SamplerOptions): Sampler {
  const probes = new Map<DeviceProbe, Asked>()
  let closed = false

  const tell = (asked: Asked, facts: object, message: string) => {
    if (!asked.told) log.warn(facts, message)
    asked.told = true
  }

  const sample = async (probe: DeviceProbe, asked: Asked) => {
    try {
      const readings = await probe.sample(system)
      if (closed) return
      if (asked.told && clock.monotonicMs() - asked.sinceMs <= slowMs) {
        asked.told = false
        log.info({ probe: probe.vendor }, 'sensors answer in time again')
      }
      onReadings(probe, readings)
    } catch (error) {
      if (!closed) tell(asked, { probe: probe.vendor, error }, 'sensors could not be read')
    } finally {
      asked.waiting = false
    }
  }

  return {
    ask(probe) {
      const asked = probes.get(probe) ?? { sinceMs: 0, told: false, waiting: false }
      probes.set(probe, asked)
      const nowMs = clock.monotonicMs()
      if (!asked.waiting) {
        asked.waiting = true
        asked.sinceMs = nowMs
        void sample(probe, asked)
      } else if (nowMs - asked.sinceMs >= slowMs) {
        tell(
          asked,
          { probe: probe.vendor, waitedMs: Math.round(nowMs - asked.sinceMs) },
          'sensors are slow to answer',
        )
      }
    },
    close() {
      closed = true
    },
  }
}
