import type { DeviceReading, Sensors } from '../contract.ts'
import { pciAddressOf, present } from '../units.ts'
import { uuidOf } from './card.ts'
import { filled } from './cells.ts'
import { closeNvml, type Nvml } from './nvml.ts'
import { type NvmlDevice, nvmlCodes, nvmlDevice, textIn } from './nvml-calls.ts'
import {
  fastSensors,
  fixedSensors,
  memoryOf,
  type NameOf,
  processesOf,
  processNames,
  slowSensors,
} from './nvml-sensors.ts'

const source = 'nvml'

/** Every so many looks, what changes slowly is asked too. */
const slowEvery = 5

/** A card that does not answer for so long is told to be in error, while its answer is still waited for. */
const patienceMs = 2000

type Identity = Pick<DeviceReading, 'vendor' | 'source' | 'index' | 'uuid' | 'pciAddress' | 'kind' | 'parent'>

interface OpenCard {
  identity: Identity
  /** Absent where NVML gives no handle; `failure` says why. */
  device?: NvmlDevice
  failure?: number
  parts: OpenCard[]
  fixed: Sensors
  slow: Sensors
}

/** Looks at all cards through NVML. */
export interface NvmlSampler {
  /** One reading a card and MIG instance. Undefined where NVML has no cards to tell of any more: it wants opening anew. */
  sample(): Promise<DeviceReading[] | undefined>
  close(): Promise<void>
}

/** Finds the cards of an open NVML; undefined where it tells of none. */
export async function nvmlSampler(nvml: Nvml): Promise<NvmlSampler | undefined> {
  const cards = await openCards(nvml)
  if (cards.length === 0) return undefined
  const nameOf = processNames(nvml)
  let looks = 0
  /** The look that goes on, and the card that it waits for. */
  let looking: Promise<DeviceReading[] | undefined> | undefined
  let at: OpenCard | undefined

  async function look(): Promise<DeviceReading[] | undefined> {
    const slow = looks++ % slowEvery === 0
    if (!(await stillThere(nvml))) return undefined
    const readings: DeviceReading[] = []
    for (const card of cards) {
      at = card
      readings.push(await readCard(card, slow, nameOf))
      for (const part of card.parts) readings.push(await readPart(part, nameOf))
    }
    at = undefined
    return readings
  }

  return {
    async sample() {
      looking ??= look().finally(() => {
        looking = undefined
      })
      const answer = await within(patienceMs, looking)
      return answer === undefined ? cards.flatMap((card) => silentReadings(card, at)) : answer.value
    },
    async close() {
      if (looking === undefined) return closeNvml(nvml)
      // A call that hangs is not waited for; the cards are let go of when it comes back.
      const shut = () => closeNvml(nvml)
      void looking.then(shut, shut)
    },
  }
}

/** What a promise comes to, or undefined where that takes longer. */
function within<T>(timeoutMs: number, promise: Promise<T>): Promise<{ value: T } | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), timeoutMs)
    promise.then((value) => resolve({ value }), reject).finally(() => clearTimeout(timer))
  })
}

function silentReadings(card: OpenCard, at: OpenCard | undefined): DeviceReading[] {
  const identities = [card.identity, ...card.parts.map(({ identity }) => identity)]
  if (card !== at) return identities
  const stateReason = `the driver has not answered for ${patienceMs / 1000} s`
  return identities.map((identity) => ({ ...identity, state: 'error', stateReason }))
}

/** After the driver was unloaded or updated, NVML tells it of any question. */
async function stillThere(nvml: Nvml): Promise<boolean> {
  const count = Buffer.alloc(4)
  return (await nvml.call('nvmlDeviceGetCount_v2', count)) === nvmlCodes.success
}

async function openCards(nvml: Nvml): Promise<OpenCard[]> {
  const count = Buffer.alloc(4)
  if ((await nvml.call('nvmlDeviceGetCount_v2', count)) !== nvmlCodes.success) return []
  const cards: OpenCard[] = []
  for (let index = 0; index < Math.min(count.readUInt32LE(), 64); index++)
    cards.push(await openCard(nvml, index))
  return cards
}

async function openCard(nvml: Nvml, index: number): Promise<OpenCard> {
  const out = Buffer.alloc(8)
  const code = await nvml.call('nvmlDeviceGetHandleByIndex_v2', index, out)
  const bare = { vendor: 'nvidia', source, index } as const
  if (code !== nvmlCodes.success) {
    return { identity: bare, failure: code ?? nvmlCodes.unknown, parts: [], fixed: {}, slow: {} }
  }
  const device = nvmlDevice(nvml, out.readBigUInt64LE())
  const identity = present({
    ...bare,
    uuid: uuidOf(await device.text('nvmlDeviceGetUUID')),
    pciAddress: await addressOf(device),
  })
  const fixed = await fixedSensors(device)
  return { identity, device, parts: await openParts(nvml, device, identity), fixed, slow: {} }
}

/** `nvmlPciInfo_t`: the old form of the address, five numbers, then the address as text. */
async function addressOf(device: NvmlDevice): Promise<string | undefined> {
  const info = Buffer.alloc(68)
  return (await device.ask('nvmlDeviceGetPciInfo_v3', info))
    ? pciAddressOf(textIn(info.subarray(36)))
    : undefined
}

/** The MIG instances of a card that is cut. */
async function openParts(nvml: Nvml, card: NvmlDevice, parent: Identity): Promise<OpenCard[]> {
  const [current, pending] = [Buffer.alloc(4), Buffer.alloc(4)]
  if (!(await card.ask('nvmlDeviceGetMigMode', current, pending)) || current.readUInt32LE() !== 1) return []
  const most = (await card.u32('nvmlDeviceGetMaxMigDeviceCount')) ?? 0
  const parts: OpenCard[] = []
  for (let index = 0; index < Math.min(most, 16); index++) {
    const handle = await card.u64('nvmlDeviceGetMigDeviceHandleByIndex', index)
    if (handle === undefined) continue
    const device = nvmlDevice(nvml, handle)
    const identity = present({
      vendor: 'nvidia' as const,
      source,
      index,
      uuid: uuidOf(await device.text('nvmlDeviceGetUUID')),
      kind: 'partition' as const,
      parent: present({ uuid: parent.uuid, pciAddress: parent.pciAddress, index: parent.index }),
    })
    parts.push({ identity, device, parts: [], fixed: {}, slow: {} })
  }
  return parts
}

async function readCard(card: OpenCard, slow: boolean, nameOf: NameOf): Promise<DeviceReading> {
  const { device, identity, failure } = card
  if (device === undefined) return { ...identity, ...stateOfFailure(failure) }
  device.forget()
  const fast = await fastSensors(device)
  if (slow) card.slow = await slowSensors(device)
  const processes = await processesOf(device, nameOf)
  const state = device.state()
  // What a lost card said before is not what it is now.
  const sensors = state.state === 'lost' ? {} : present({ ...card.fixed, ...card.slow, ...fast, processes })
  return present({ ...identity, ...state, sensors: filled(sensors) })
}

async function readPart(part: OpenCard, nameOf: NameOf): Promise<DeviceReading> {
  const { device, identity } = part
  if (device === undefined) return identity
  device.forget()
  const memory = await memoryOf(device)
  const processes = await processesOf(device, nameOf)
  return present({ ...identity, ...device.state(), sensors: filled(present({ ...memory, processes })) })
}

function stateOfFailure(code: number | undefined): Pick<DeviceReading, 'state' | 'stateReason'> {
  if (code === nvmlCodes.gpuIsLost) return { state: 'lost', stateReason: 'GPU is lost' }
  if (code === nvmlCodes.resetRequired) return { state: 'lost', stateReason: 'GPU requires reset' }
  if (code === nvmlCodes.noPermission)
    return { state: 'no_permission', stateReason: 'Insufficient Permissions' }
  return { state: 'error', stateReason: `NVML gives no handle for it (error ${code})` }
}
