import { slowestWire } from '../speed/index.ts'
import type { Candidate, Search } from './candidate.ts'
import { devicesOf } from './layout.ts'
import { leastBytes } from './limits.ts'
import { sizeOf } from './rank.ts'
import { unknownNames } from './survey.ts'
import { countOf, gibibytes, listDevices, percent, rate } from './texts.ts'

/** Why a plan is as it is: sentences, in the order of the decisions. */
export function reasonsOf(search: Search, first: Candidate, all: readonly Candidate[]): string[] {
  return [
    whereReason(search, first),
    ...divisionReasons(search, first),
    ...hostReasons(first),
    runReason(search, first),
    ...draftReason(search, first),
    ...replicaReasons(search, first, all),
    speedReason(first),
    ...unknownReasons(search),
  ]
}

/** A name that nothing has is a slip as a rule, and would go unseen. */
function unknownReasons({ world, wishes }: Search): string[] {
  const { pins = [], avoid = [], prefer = [], shun = [] } = wishes
  const unknown = unknownNames(world.all, [...pins, ...avoid, ...prefer, ...shun])
  return unknown.length === 0 ? [] : [`Nothing here is called ${unknown.join(', ')}, which the wishes name.`]
}

function whereReason(search: Search, first: Candidate): string {
  const { model, world } = search
  const { layout, instance } = first
  const devices = devicesOf(layout)
  const total = instance.parts.reduce((sum, { memory }) => sum + memory.totalBytes, 0)
  const need = `${model.name} takes ${gibibytes(total)} with ${countOf(instance.slots, 'slot')} of ${instance.contextLength} tokens`
  const hosts = layout.stages.length
  if (devices.length === 0) {
    return hosts > 1
      ? `${need}: no device and no node alone holds it, the CPUs of ${hosts} nodes do.`
      : `${need}: no device holds it, the CPU of ${layout.node.id} does.`
  }
  const names = listDevices(devices)
  if (devices.length === 1 && sizeOf(first).host === 0)
    return `${need}: ${names} holds it alone, so it is not divided.`
  const largest = Math.max(
    0,
    ...world.nodes.flatMap((view) => view.devices.map(({ usableBytes }) => usableBytes)),
  )
  const least = gibibytes(leastBytes(search))
  if (leastBytes(search) <= largest) return `${need}; it is laid on ${names}.`
  return `${need}; the largest device has ${gibibytes(largest)} and at least ${least} are needed, so it is divided: ${names}.`
}

function divisionReasons({ world }: Search, { layout, instance }: Candidate): string[] {
  const devices = devicesOf(layout)
  if (layout.stages.length < 2 && devices.length < 2) return []
  const reasons: string[] = []
  if (instance.tensorSize > 1) {
    const stage = layout.stages.find((one) => one.kind === 'gpu' && one.devices.length > 1)
    const wire = stage?.kind === 'gpu' ? slowestWire(world.fabric, stage.devices) : undefined
    const link = wire ? ` (${wire.class}, ${(wire.bytesPerS / 1e9).toFixed(0)} GB/s)` : ''
    reasons.push(
      `Each layer is divided over ${instance.tensorSize} devices: they are near enough${link}, and heads and widths divide.`,
    )
  }
  if (instance.pipelineSize > 1) {
    const stages = new Map(
      instance.parts
        .filter(({ kind, remote }) => kind === 'gpu' || remote)
        .map(({ stage, layers }) => [stage, layers]),
    )
    const counts = [...stages.values()].map(([from, to]) => to - from).join(' + ')
    reasons.push(
      `Layers follow each other in ${countOf(stages.size, 'stage')} (${counts}), by memory, speed and links.`,
    )
  }
  const vendors = new Set(devices.map(({ vendor }) => vendor))
  if (vendors.size > 1)
    reasons.push(
      `Devices of ${vendors.size} vendors serve one process: layers can be passed on between backends, tensors not.`,
    )
  const remote = new Set(instance.parts.filter((part) => part.remote).map(({ node }) => node))
  if (remote.size > 0) {
    const how = instance.engine === 'llama.cpp' ? "llama.cpp's RPC" : instance.engine
    reasons.push(
      `${countOf(remote.size, 'other node')} (${[...remote].join(', ')}) ${remote.size > 1 ? 'are' : 'is'} reached by ${how}: one node's devices are too small or slower.`,
    )
  }
  return reasons
}

function hostReasons({ instance }: Candidate): string[] {
  const reasons: string[] = []
  const away = instance.parts.reduce((sum, { hostExperts }) => sum + hostExperts.length, 0)
  if (away > 0) {
    reasons.push(
      `The experts of ${countOf(away, 'layer')} lie in host memory (${gibibytes(instance.host.weightsBytes)}): a token reads few of them, attention stays on the device.`,
    )
  }
  const cpu = instance.parts.find(({ kind, remote }) => kind === 'cpu' && !remote)
  if (cpu && instance.parts.length > 1) {
    reasons.push(
      `${countOf(cpu.layers[1] - cpu.layers[0], 'layer')} lie on the CPU (${gibibytes(cpu.memory.totalBytes)}): the devices hold no more.`,
    )
  }
  return reasons
}

function runReason({ runs, wishes }: Search, { run }: Candidate): string {
  const wanted = runs.wanted ?? run
  const others = wishes.beside ? ' beside the other models' : ''
  const asked = wishes.contextLength
  const why =
    asked === undefined
      ? ''
      : asked > run.contextLength
        ? `, all that the model was made for (${asked} were asked for)`
        : ', as asked for'
  const context =
    run.contextLength < wanted.contextLength
      ? `The context is cut from ${wanted.contextLength} to ${run.contextLength} tokens to fit${others}`
      : `The context is ${run.contextLength} tokens${why}`
  const slots =
    run.slots < wanted.slots
      ? `memory does not allow ${wanted.slots}${others}`
      : wishes.slots === undefined
        ? 'by default'
        : 'as asked for'
  return `${context}, with ${countOf(run.slots, 'slot')} (${slots}).`
}

function draftReason({ model }: Search, { instance }: Candidate): string[] {
  if (!model.draft) return []
  if (instance.draftDeviceId === undefined)
    return [`The draft model ${model.draft.name} is left out: there is no room for it.`]
  return [`The draft model ${model.draft.name} lies on ${instance.draftDeviceId}, beside the head.`]
}

function replicaReasons({ wishes }: Search, first: Candidate, all: readonly Candidate[]): string[] {
  const missing = (wishes.replicas ?? 0) - all.length
  const fewer =
    missing > 0
      ? [
          `${countOf(missing, 'instance')} of the ${wishes.replicas} asked for ${missing > 1 ? 'find' : 'finds'} no room.`,
        ]
      : []
  if (all.length < 2) return fewer
  const devices = sizeOf(first).devices
  const each = devices > 1 ? `groups of ${devices} devices` : 'one on each device that is left'
  return [
    `${countOf(all.length, 'instance')} serve it, ${each}: whoever comes while one is busy need not wait.`,
    ...fewer,
  ]
}

function speedReason({ decodeTokensPerS, costs, instance }: Candidate): string {
  const read = costs.layers.reduce((sum, layer) => sum + layer.activeWeightsBytes, costs.output.weightsBytes)
  const all = costs.layers.reduce((sum, layer) => sum + layer.weightsBytes, costs.output.weightsBytes)
  const share = read < all * 0.95 ? ` (${percent(read / all)} of the weights)` : ''
  const draft = instance.draftDeviceId === undefined ? '' : ', guesses of the draft model included'
  return `A token reads ${gibibytes(read)}${share}: about ${rate(decodeTokensPerS)} for one stream${draft}.`
}
