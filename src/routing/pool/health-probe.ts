import type { Clock } from '../../core/index.ts'
import type { EngineInstance } from '../../engines/index.ts'
import { DroverError } from '../../inference/index.ts'

export interface HealthProbe {
  clock: Clock
  intervalMs: number
  timeoutMs: number
  /** Whether the instance is there yet: probes end with it. */
  isThere(): boolean
  probed(works: boolean): void
}

/** Asks an instance now and then whether it works, for as long as it lives. */
export function probeHealth(instance: EngineInstance, probe: HealthProbe): void {
  const { clock, intervalMs, timeoutMs, isThere, probed } = probe
  clock.after(intervalMs, () => {
    if (!isThere()) return
    const late = new AbortController()
    const cancel = clock.after(timeoutMs, () =>
      late.abort(new DroverError('engine_unavailable', 'no answer')),
    )
    const told = (works: boolean) => {
      cancel()
      probed(works)
    }
    instance.ping(late.signal).then(
      () => told(true),
      () => told(false),
    )
    probeHealth(instance, probe)
  })
}
