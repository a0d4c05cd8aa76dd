import type { PlanDevice, PlanInstance } from '../contract.ts'
import { type Fabric, slowestWire, type Wire } from '../speed/index.ts'
import type { Candidate, Fits, Search } from './candidate.ts'
import { devicesOf, type Layout, usesHost } from './layout.ts'
import type { Runs } from './runs.ts'
import { classOf, wireText } from './survey.ts'

export function newFits(): Fits {
  return { found: new Map(), codes: new Map() }
}

/** What `workOut` makes of the layout, or made of one that is alike, with the devices of this one. */
export function fitOnce(
  { fits, runs, world }: Search,
  layout: Layout,
  workOut: () => Candidate | undefined,
): Candidate | undefined {
  if (layout.stages.some(({ node }) => node.id !== layout.node.id)) return workOut()
  const key = `${hostOf(runs, layout)} ${keyOf(fits, world.fabric, layout)}`
  if (fits.found.has(key)) {
    const known = fits.found.get(key)
    return known && onLayout(known, layout)
  }
  const candidate = workOut()
  fits.found.set(key, candidate)
  return candidate
}

/** A host that keeps the process only need not be told apart by its memory, where it has plenty of it. */
const plenty = 4

function hostOf({ levels, costs }: Runs, layout: Layout): string {
  const { usableBytes, memoryBytesPerS, flopsPerS } = layout.node
  const [most] = levels
  const shared = usesHost(layout) || devicesOf(layout).some(({ unifiedMemory }) => unifiedMemory)
  const ample = !shared && most && usableBytes >= plenty * costs(most).host.totalBytes
  return `${ample ? 'ample' : usableBytes} ${memoryBytesPerS} ${flopsPerS}`
}

function keyOf({ codes }: Fits, fabric: Fabric, layout: Layout): string {
  const { kind, engine, hostExperts, maySkip, stages } = layout
  const code = <T extends PlanDevice | Wire>(met: T, textOf: (met: T) => string) => {
    let number = codes.get(met)
    if (number === undefined) {
      const text = textOf(met)
      number = codes.get(text) ?? codes.size
      codes.set(text, number)
      codes.set(met, number)
    }
    return number
  }
  const wire = (way: Wire | undefined) => (way ? code(way, wireText) : '')
  let before: PlanDevice | undefined
  const places = stages.map((stage) => {
    if (stage.kind === 'cpu') return 'cpu'
    const [first] = stage.devices
    const entry = before && wire(fabric.between(before, first))
    before = stage.devices.at(-1)
    const devices = stage.devices.map((device) => code(device, classOf)).join('+')
    return `${entry}>${devices} ${wire(slowestWire(fabric, stage.devices))}`
  })
  return `${kind} ${engine} ${hostExperts} ${maySkip} ${places.join(' ')}`
}

/** The candidate on a layout that is alike: devices by their places. */
function onLayout(candidate: Candidate, layout: Layout): Candidate {
  const { instance } = candidate
  const others = devicesOf(layout)
  const names = new Map(devicesOf(candidate.layout).map(({ id }, at) => [id, others[at]?.id ?? id]))
  names.set(candidate.layout.node.id, layout.node.id)
  const nameOf = (id: string) => names.get(id) ?? id
  const renamed: PlanInstance = {
    ...instance,
    node: layout.node.id,
    parts: instance.parts.map((part) => ({ ...part, deviceId: nameOf(part.deviceId), node: layout.node.id })),
    ...(instance.draftDeviceId !== undefined && { draftDeviceId: nameOf(instance.draftDeviceId) }),
  }
  return { ...candidate, layout, instance: renamed }
}
