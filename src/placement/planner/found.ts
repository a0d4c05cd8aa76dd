import type { PlanInstance, PlanWishes, Rejected } from '../contract.ts'
import type { Candidate } from './candidate.ts'
import { devicesOf, hasHostStage, type Layout, type LayoutKind } from './layout.ts'
import { listDevices } from './texts.ts'

/** What a search came upon: layouts that hold the model, and why others were not even tried or do not. */
export interface Found {
  candidates: Candidate[]
  rejected: Rejected[]
}

/** Kinds of layouts that a strategy allows. */
const kindsOf: Readonly<Record<NonNullable<PlanWishes['strategy']>, readonly LayoutKind[]>> = {
  single: ['single'],
  data: ['single'],
  tensor: ['tensor'],
  pipeline: ['pipeline'],
  hybrid: ['tensor', 'pipeline', 'hybrid'],
}

export function allowedKinds({ strategy, tensorSize, pipelineSize }: PlanWishes): ReadonlySet<LayoutKind> {
  const kinds = new Set<LayoutKind>(strategy ? kindsOf[strategy] : ['single', 'tensor', 'pipeline', 'hybrid'])
  if ((tensorSize ?? 1) > 1) {
    kinds.delete('single')
    kinds.delete('pipeline')
  }
  if ((pipelineSize ?? 1) > 1) {
    kinds.delete('single')
    kinds.delete('tensor')
  }
  if (tensorSize === 1) {
    kinds.delete('tensor')
    kinds.delete('hybrid')
  }
  if (pipelineSize === 1) {
    kinds.delete('pipeline')
    kinds.delete('hybrid')
  }
  return kinds
}

/** A division was asked for by name: it is made though one device would do, and over any link. */
export function divisionAsked({ strategy, tensorSize, pipelineSize }: PlanWishes): boolean {
  if (strategy === 'tensor' || strategy === 'pipeline' || strategy === 'hybrid') return true
  return (tensorSize ?? 1) > 1 || (pipelineSize ?? 1) > 1
}

/** Whether an instance has the sizes that were asked for. */
export function sizesMatch({ tensorSize, pipelineSize }: PlanInstance, wishes: PlanWishes): boolean {
  if (wishes.tensorSize !== undefined && wishes.tensorSize !== tensorSize) return false
  return wishes.pipelineSize === undefined || wishes.pipelineSize === pipelineSize
}

/** `tensor over 4 x RTX 3090`, `experts in host memory, rest on RTX 4090`. */
export function describeLayout(layout: Layout): string {
  const devices = devicesOf(layout)
  const hosts = layout.stages.filter(({ kind }) => kind === 'cpu').length
  if (devices.length === 0) return hosts > 1 ? `the CPUs of ${hosts} nodes` : `the CPU of ${layout.node.id}`
  const nodes = new Set(devices.map(({ node }) => node))
  const where = `${listDevices(devices)}${nodes.size > 1 ? ` of ${nodes.size} nodes` : ''}`
  const host = hasHostStage(layout)
  const away = [layout.hostExperts ? 'experts in host memory' : '', host ? 'layers on the CPU' : '']
    .filter((text) => text !== '')
    .join(' and ')
  const how = devices.length === 1 ? 'single' : layout.kind
  return `${how}${devices.length === 1 ? ' on' : ' over'} ${where}${away ? ` with ${away}` : ''}`
}
