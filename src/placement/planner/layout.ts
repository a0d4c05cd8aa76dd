import type { EngineName } from '../../engines/index.ts'
import type { PlanDevice, PlanNode } from '../contract.ts'

/** Devices that hold the same layers (several: as tensors), or a node's CPU. */
export type LayoutStage =
  | { kind: 'gpu'; node: PlanNode; devices: readonly [PlanDevice, ...PlanDevice[]] }
  | { kind: 'cpu'; node: PlanNode }

export type LayoutKind = 'single' | 'tensor' | 'pipeline' | 'hybrid'

/** Devices in order, before layers are given to them. */
export interface Layout {
  kind: LayoutKind
  engine: EngineName
  /** Where the process runs; its CPU is a stage, if any is. */
  node: PlanNode
  /** As the layers follow each other: the host's CPU first, then other nodes', then this node's. */
  stages: readonly LayoutStage[]
  /** Experts may lie in host memory: as many layers' as it takes, from the first on. */
  hostExperts: boolean
  /** A stage may stay without layers. */
  maySkip: boolean
}

export function devicesOf(layout: Pick<Layout, 'stages'>): PlanDevice[] {
  return layout.stages.flatMap((stage) => (stage.kind === 'gpu' ? stage.devices : []))
}

/** Of devices, and of CPUs where they compute as well. */
export function countOf({ stages }: Pick<Layout, 'stages'>): { devices: number; parts: number } {
  let devices = 0
  let hosts = 0
  for (const stage of stages) {
    if (stage.kind === 'gpu') devices += stage.devices.length
    else hosts++
  }
  return { devices, parts: devices + hosts }
}

export function gpuStage(node: PlanNode, devices: readonly PlanDevice[]): LayoutStage {
  const [first, ...others] = devices
  if (!first) throw new RangeError('a stage needs a device')
  return { kind: 'gpu', node, devices: [first, ...others] }
}

export function tensorSizeOf(layout: Pick<Layout, 'stages'>): number {
  return layout.stages.reduce(
    (most, stage) => Math.max(most, stage.kind === 'gpu' ? stage.devices.length : 1),
    1,
  )
}

/** Something lies in host memory: layers, or experts. */
export function usesHost(layout: Layout): boolean {
  return layout.hostExperts || hasHostStage(layout)
}

/** The CPU beside the process computes; that of another node is a worker like others. */
export function hasHostStage({ stages, node }: Pick<Layout, 'stages' | 'node'>): boolean {
  return stages.some((stage) => stage.kind === 'cpu' && stage.node.id === node.id)
}
