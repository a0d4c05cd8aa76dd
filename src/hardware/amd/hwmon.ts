/** A card's `hwmon` folder (https://docs.kernel.org/hwmon/sysfs-interface.html): thousandths of degrees, millionths of watts, hertz. */
import type { Sensors } from '../contract.ts'
import type { SysfsFiles } from '../pci/path.ts'
import { numberOf, present } from '../units.ts'
import { temperatures } from './shape.ts'

/** The files of a card's sensors, told apart by their labels once. */
export interface Hwmon {
  folder: string
  /** `temp1` by `edge`, `junction`, `mem`; `freq1` by `sclk`, `mclk`. */
  named: ReadonlyMap<string, string>
  /** `power1_average`, or `power1_input` on cards and drivers that tell the power of the moment. */
  power?: string
  hasFan: boolean
  /** The figure in `pwm1` at full speed. */
  fastestPwm: number
}

export function findHwmon(files: SysfsFiles, parent: string): Hwmon | undefined {
  const name = files.list(parent).find((one) => /^hwmon\d+$/.test(one))
  if (name === undefined) return undefined
  const folder = `${parent}/${name}`
  const entries = files.list(folder)
  const named = new Map<string, string>()
  for (const entry of entries) {
    const [, sensor] = /^((?:temp|freq)\d+)_label$/.exec(entry) ?? []
    const label = files.readText(`${folder}/${entry}`)?.trim()
    if (sensor !== undefined && label) named.set(label, sensor)
  }
  // Cards before Vega have one sensor, without a label.
  if (!named.has('edge') && !named.has('junction') && entries.includes('temp1_input'))
    named.set('edge', 'temp1')
  const power = ['power1_average', 'power1_input'].find((entry) => entries.includes(entry))
  const fastestPwm = numberOf(files.readText(`${folder}/pwm1_max`)) || 255
  return { folder, named, hasFan: entries.includes('fan1_input'), fastestPwm, ...present({ power }) }
}

function reader(files: SysfsFiles, { folder, named }: Hwmon) {
  const number = (name: string | undefined, unit: number): number | undefined => {
    const value = name === undefined ? undefined : numberOf(files.readText(`${folder}/${name}`))
    return value === undefined ? undefined : value / unit
  }
  return {
    number,
    of: (label: string, what: string, unit: number) => {
      const sensor = named.get(label)
      return sensor === undefined ? undefined : number(`${sensor}_${what}`, unit)
    },
  }
}

/** Temperatures, power, clocks and fan of this moment. */
export function readHwmon(files: SysfsFiles, hwmon: Hwmon): Sensors {
  const { number, of } = reader(files, hwmon)
  const watts = number(hwmon.power, 1e6)
  const megahertz = (label: string) => {
    const clock = of(label, 'input', 1e6)
    return clock === undefined ? undefined : Math.round(clock)
  }
  const heat = temperatures(
    of('edge', 'input', 1000),
    of('junction', 'input', 1000),
    of('mem', 'input', 1000),
  )
  return present({
    ...heat,
    powerWatts: watts,
    powerLimitWatts: powerLimit(number('power1_cap', 1e6)),
    graphicsClockMhz: megahertz('sclk'),
    memoryClockMhz: megahertz('mclk'),
    ...(hwmon.hasFan && readFan(number, hwmon.fastestPwm)),
  }) as Sensors
}

/** Some drivers write 0 where they know no limit. */
function powerLimit(watts: number | undefined): number | undefined {
  return watts === undefined || watts <= 0 ? undefined : watts
}

function readFan(
  number: (name: string, unit: number) => number | undefined,
  fastestPwm: number,
): Pick<Sensors, 'fanRatio' | 'fanRpm'> {
  const ratio = number('pwm1', fastestPwm)
  const fanRatio = ratio === undefined || ratio < 0 ? undefined : Math.min(1, ratio)
  return present({ fanRatio, fanRpm: number('fan1_input', 1) })
}

/** Where the card slows down and goes off, of the sensor that gives its temperature. */
export function readHwmonLimits(files: SysfsFiles, hwmon: Hwmon): Pick<Sensors, 'slowdownC' | 'shutdownC'> {
  const { of } = reader(files, hwmon)
  const label = hwmon.named.has('edge') ? 'edge' : 'junction'
  return present({ slowdownC: of(label, 'crit', 1000), shutdownC: of(label, 'emergency', 1000) })
}
