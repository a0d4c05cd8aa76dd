import type { Device, DeviceState, EccCounts, HealthReason, PcieLink, Sensors } from '../contract.ts'
import type { HealthRules } from './rules.ts'

/** One look at a device: what its tool said of it at a moment. */
export interface Look {
  atMs: number
  state: DeviceState
  /** Why the state is not `ok`, in the tool's words. */
  stateReason?: string
  sensors?: Sensors
}

/** What a device needs to tell for its looks to be judged. */
export type Judged = Pick<Device, 'kind' | 'pcie' | 'facts' | 'state' | 'stateReason' | 'sensors'>

/** A fault that a single look can show. */
export interface Sign {
  /** The code of the reason. */
  code: string
  state: HealthReason['state']
  /** When it counts: at once, in `rules.errorLooks` looks running, or when it has lasted for `rules.holdMs`. */
  counts: 'at_once' | 'repeated' | 'lasting'
  /** Whether the look shows it; undefined: the look does not tell. */
  seen(look: Look, device: Judged, rules: HealthRules): boolean | undefined
  /** What was seen, with its value and its limit. Asked only of looks that show it. */
  text(look: Look, device: Judged, rules: HealthRules): string
  advice: string
}

/** The gravest first, as the reasons of a verdict are. */
export const signs: readonly Sign[] = [
  {
    code: 'lost',
    state: 'lost',
    counts: 'at_once',
    seen: ({ state }) => state === 'lost',
    text: ({ stateReason }) => `the card is gone: ${stateReason ?? 'it fell off the bus or needs a reset'}`,
    advice: 'reset the card or restart the machine; if it comes back, check its power cables and its seat',
  },
  {
    code: 'error',
    state: 'failing',
    counts: 'repeated',
    seen: ({ state }) => (state === 'lost' ? undefined : state === 'error'),
    text: ({ stateReason }) => `the driver cannot talk to the card: ${stateReason ?? 'no reason given'}`,
    advice: 'look for the card in the kernel log; reset it, or load the driver anew',
  },
  eccSign({
    code: 'ecc_uncorrected',
    state: 'failing',
    seen: ({ uncorrected }) => atLeastOne(uncorrected),
    text: ({ uncorrected = 0 }) =>
      `${counted(uncorrected, 'memory error')} that could not be corrected: answers may be wrong`,
    advice: 'reset the card; if errors return, have it replaced',
  }),
  eccSign({
    code: 'remap_failed',
    state: 'failing',
    seen: ({ remapFailed }) => remapFailed,
    text: () => 'broken memory could not be taken out of use',
    advice: 'have the card replaced',
  }),
  eccSign({
    code: 'remap_pending',
    state: 'degraded',
    seen: ({ pending }) => pending,
    text: () => 'broken memory waits for a reset to be taken out of use',
    advice: 'reset the card at the next quiet moment',
  }),
  {
    code: 'hot',
    state: 'degraded',
    counts: 'lasting',
    seen: ({ sensors }, device, rules) => above(sensors?.temperatureC, hotFrom(sensors, device, rules)),
    text: ({ sensors }, device, rules) =>
      `${sensors?.temperatureC} C, hot from ${hotFrom(sensors, device, rules)} C${slowdownText(sensors, device, rules)}`,
    advice: 'check fans, filters and air flow, or lower the power limit',
  },
  {
    code: 'throttled',
    state: 'degraded',
    counts: 'lasting',
    seen: ({ sensors }) => sensors?.throttle && faultyThrottle(sensors).length > 0,
    text: ({ sensors }) => `it slows itself down: ${faultyThrottle(sensors).join(', ')}`,
    advice: 'thermal: check cooling; power brake: check the power supply and its cables',
  },
  {
    code: 'fan_stopped',
    state: 'degraded',
    counts: 'lasting',
    seen: fanStopped,
    text: ({ sensors }) => `the fan stands still at ${sensors?.temperatureC} C`,
    advice: 'set fan control back to automatic, or have the fan replaced',
  },
  {
    code: 'slow_link',
    state: 'degraded',
    counts: 'lasting',
    seen: ({ sensors }, device) => narrow(linkOf(sensors, device)),
    text: ({ sensors }, device) => {
      const { width, maxWidth } = linkOf(sensors, device)
      return `PCIe x${width} where card and slot could do x${maxWidth}`
    },
    advice: 'seat the card anew, check the riser and which slot it is in',
  },
  {
    code: 'slow_link',
    state: 'degraded',
    counts: 'lasting',
    seen: ({ sensors }, device, rules) => lowGeneration(linkOf(sensors, device), sensors, rules),
    text: ({ sensors }, device) => {
      const { generation, maxGeneration } = linkOf(sensors, device)
      return `PCIe generation ${generation} under load where card and slot could do ${maxGeneration}`
    },
    advice: 'check the riser, and the link speed of the slot in the BIOS',
  },
]

interface EccSign {
  code: string
  state: HealthReason['state']
  seen(ecc: EccCounts): boolean | undefined
  text(ecc: EccCounts): string
  advice: string
}

/** Memory counters are facts, not measurements: the first look that shows them counts. */
function eccSign({ seen, text, ...rest }: EccSign): Sign {
  return {
    ...rest,
    counts: 'at_once',
    seen: ({ sensors }) => (sensors?.ecc ? seen(sensors.ecc) : undefined),
    text: ({ sensors }) => text(sensors?.ecc ?? {}),
  }
}

function atLeastOne(count: number | undefined): boolean | undefined {
  return count === undefined ? undefined : count >= 1
}

/** `1 memory error`, `3 memory errors`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function above(value: number | undefined, limit: number | undefined): boolean | undefined {
  return value === undefined || limit === undefined ? undefined : value >= limit
}

/** Limits do not change: where a quick look leaves them out, what was told when the device was found holds. */
function slowdownOf(sensors: Sensors | undefined, device: Judged, rules: HealthRules): number | undefined {
  const told = sensors?.slowdownC ?? device.sensors?.slowdownC
  return told !== undefined && told >= rules.leastSlowdownC ? told : undefined
}

/** From which temperature a device counts as hot; undefined where nothing can be said. */
function hotFrom(sensors: Sensors | undefined, device: Judged, rules: HealthRules): number | undefined {
  const slowdownC = slowdownOf(sensors, device, rules)
  if (slowdownC !== undefined) return slowdownC - rules.hotMarginC
  // Processors, and graphics on their die, run up to 100 C by design.
  return device.kind === 'discrete' || device.kind === 'partition' ? rules.hotC : undefined
}

function slowdownText(sensors: Sensors | undefined, device: Judged, rules: HealthRules): string {
  const slowdownC = slowdownOf(sensors, device, rules)
  return slowdownC === undefined ? '' : ` (slows down at ${slowdownC} C)`
}

const faulty = new Set<string>(['hw_thermal', 'sw_thermal', 'hw_power_brake', 'hw_slowdown'])

/** The reasons that are faults: a power limit that binds is not one, nor the slow clocks of a card that idles. */
function faultyThrottle(sensors: Sensors | undefined): string[] {
  const idle = sensors?.throttle?.includes('idle')
  return (sensors?.throttle ?? []).filter(
    (reason) => faulty.has(reason) && !(idle && reason === 'hw_slowdown'),
  )
}

function fanStopped({ sensors }: Look, device: Judged, rules: HealthRules): boolean | undefined {
  const speed = sensors?.fanRpm ?? sensors?.fanRatio
  if (device.kind === 'cpu' || speed === undefined) return undefined
  const slowdownC = slowdownOf(sensors, device, rules)
  const hot = above(
    sensors?.temperatureC,
    slowdownC === undefined ? rules.fanHotC : slowdownC - rules.fanMarginC,
  )
  return hot === undefined ? undefined : hot && speed === 0
}

/** The link as it is now and as it could be; what the sensors leave out is as it was when the device was found. */
function linkOf(sensors: Sensors | undefined, { pcie, facts }: Judged): PcieLink {
  const link = { ...pcie, ...sensors?.pcie }
  // Some chips tell the lanes of the largest card they are built into.
  const built = facts.pcie?.width
  if (link.maxWidth !== undefined && built !== undefined) link.maxWidth = Math.min(link.maxWidth, built)
  return link
}

function narrow({ width, maxWidth }: PcieLink): boolean | undefined {
  return width === undefined || maxWidth === undefined ? undefined : width > 0 && width < maxWidth
}

function lowGeneration(
  link: PcieLink,
  sensors: Sensors | undefined,
  rules: HealthRules,
): boolean | undefined {
  const { generation, maxGeneration } = link
  if (generation === undefined || maxGeneration === undefined) return undefined
  // An idle card's link is slow by design, so that it says neither yes nor no.
  const busy = (sensors?.utilization ?? 0) >= rules.busyUtilization
  return busy ? generation > 0 && generation < maxGeneration : undefined
}
