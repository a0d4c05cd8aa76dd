import type { Inventory, PlanDevice, PlanInstance, PlanLink } from '../contract.ts'
import { fabricOf } from '../speed/index.ts'

const classNames: Readonly<Partial<Record<PlanLink['class'], string>>> = {
  nvlink: 'NVLink',
  xgmi: 'xGMI',
  xelink: 'Xe Link',
  same_board: 'one board',
  pix: 'one PCIe switch',
  pxb: 'PCIe switches',
  phb: 'PCIe',
  node: 'PCIe',
  sys: 'PCIe across sockets',
  lan: 'network',
}

/**
 * The ways that an instance's data take, each kind once: within a stage from each part to each, between stages from one
 * to the next. `NVLink 450 GB/s`, `network 1.2 GB/s`.
 */
export function linkTexts({ parts, node }: PlanInstance, inventory: Inventory): string[] {
  const fabric = fabricOf(inventory)
  const devices = new Map(inventory.devices.map((device) => [device.id, device]))
  const stages = [...Map.groupBy(parts, ({ stage }) => stage)].map(([, own]) => own)
  const texts = new Set<string>()
  const tell = (a: PlanDevice | undefined, b: PlanDevice | undefined, nodes: readonly [string, string]) => {
    const wire =
      a && b ? fabric.between(a, b) : nodes[0] === nodes[1] ? undefined : fabric.betweenNodes(...nodes)
    if (wire) texts.add(`${classNames[wire.class] ?? wire.class} ${rateText(wire.bytesPerS)}`)
  }
  stages.forEach((stage, at) => {
    stage.forEach((one, index) => {
      for (const other of stage.slice(index + 1)) {
        tell(devices.get(one.deviceId), devices.get(other.deviceId), [one.node, other.node])
      }
    })
    const [last, next] = [stage.at(-1), stages[at + 1]?.[0]]
    if (last && next) tell(devices.get(last.deviceId), devices.get(next.deviceId), [last.node, next.node])
  })
  for (const part of parts) if (part.remote) tell(undefined, undefined, [node, part.node])
  return [...texts]
}

function rateText(bytesPerS: number): string {
  const gb = bytesPerS / 1e9
  return `${gb >= 10 ? gb.toFixed(0) : gb.toPrecision(2)} GB/s`
}
