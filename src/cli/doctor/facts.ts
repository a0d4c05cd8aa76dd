import type { DeviceStatus } from '../../api/index.ts'
import {
  createDeviceFinder,
  type Device,
  type DeviceEvent,
  deviceProbes,
  factsOf,
  type Health,
  healthRules,
  hostSystem,
  judgeEvent,
  verdictOf,
} from '../../hardware/index.ts'
import { messageOf } from '../errors.ts'
import { recordedReport } from '../gpus/local.ts'
import { readSettings } from '../settings.ts'
import type { ConfigLook, DoctorFacts, ServerLook } from './contract.ts'
import { lookAtDrivers } from './gather/drivers.ts'
import { lookAtEngines } from './gather/engines.ts'
import { lookAtHost } from './gather/host.ts'
import { lookAtKernel } from './gather/kernel.ts'
import { findOllamas, lookAtServer } from './gather/server.ts'
import { lookAtFolders, storesElsewhere } from './gather/storage.ts'
import { isSameCard } from './naming.ts'

/** What has not answered by then is named, and the others are told. */
const limitMs = 4500

/**
 * One look has to do, so what usually counts when it lasts counts at once. An error of the driver stays of interest
 * for a day.
 */
const rules = { ...healthRules, holdMs: 0, leastLooks: 1, errorLooks: 1, eventStandsMs: 86_400_000 }

/** Looks at everything on this machine. Changes nothing, takes at most about five seconds, never throws. */
export async function gatherFacts(): Promise<DoctorFacts> {
  const nowMs = Date.now()
  const late: string[] = []
  const inTime = limited(late)
  const look = lookAtConfig()
  const config = look.error === undefined ? look.config : undefined
  const finder = createDeviceFinder({ system: hostSystem, probes: deviceProbes, factsOf })
  const [inventory, kernel, engines, server] = await Promise.all([
    inTime('the devices', finder.find()),
    inTime("the kernel's log", lookAtKernel(hostSystem, nowMs)),
    config && inTime('the engines', lookAtEngines(config)),
    config && inTime('the server', lookAtServer(config.host)),
  ])
  return {
    nowMs,
    devices: (inventory?.devices ?? []).map((device) =>
      statusOf(device, { server, events: kernel?.events ?? [], nowMs }),
    ),
    problems: inventory?.problems ?? [],
    host: lookAtHost(hostSystem),
    drivers: lookAtDrivers(hostSystem),
    config: look,
    ollamas: findOllamas(hostSystem),
    late,
    ...(kernel && { kernel }),
    ...(engines && { engines }),
    ...(server && { server }),
    ...(config && {
      folders: lookAtFolders(hostSystem, config),
      otherStores: storesElsewhere(hostSystem, config),
    }),
  }
}

/** What recorded outputs of tools tell, in place of this machine. */
export function recordedFacts(files: readonly { name: string; text: string }[]): DoctorFacts {
  const { devices, problems } = recordedReport(files)
  const nowMs = Date.now()
  const facts = { server: undefined, events: [], nowMs }
  return {
    nowMs,
    devices: devices.map((device) => statusOf(device, facts)),
    problems,
    recorded: files.map(({ name }) => name),
    late: [],
  }
}

function lookAtConfig(): ConfigLook {
  try {
    return readSettings()
  } catch (error) {
    return { error: messageOf(error) }
  }
}

interface StatusFacts {
  server: ServerLook | undefined
  events: readonly DeviceEvent[]
  nowMs: number
}

/** A Drover that runs here has watched the device for longer than a moment: it is believed. */
function statusOf(device: Device, { server, events, nowMs }: StatusFacts): DeviceStatus {
  const known = server?.isLocal ? server.report?.devices.find(({ id }) => id === device.id) : undefined
  if (known) return { ...known, state: device.state === 'ok' ? known.state : device.state }
  const { state, stateReason, sensors, pciAddress } = device
  const look = {
    atMs: nowMs,
    state,
    ...(stateReason !== undefined && { stateReason }),
    ...(sensors && { sensors }),
  }
  const own = events.filter((event) => isSameCard(event.pciAddress, pciAddress))
  const health: Health = verdictOf({ device, recent: [look], events: own, rules, nowMs, judgeEvent })
  return { ...device, health, used: state === 'ok', instances: [] }
}

/** Waits for a part no longer than the limit; one that fails or is late is noted under its name. */
function limited(late: string[]) {
  return async <Part>(name: string, part: Promise<Part>): Promise<Part | undefined> => {
    let timer: NodeJS.Timeout | undefined
    const over = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, limitMs, 'late')
    })
    try {
      const first = await Promise.race([part, over])
      if (first !== 'late') return first
      late.push(name)
    } catch (error) {
      late.push(`${name} (${messageOf(error)})`)
    } finally {
      clearTimeout(timer)
    }
    return undefined
  }
}
