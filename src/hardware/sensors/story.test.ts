import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import {
  createFakeHost,
  type FakeHost,
  model,
  sickCard,
  story,
} from '../../../test/support/fake-nvidia-smi/index.ts'
import { createLogger } from '../../observability/index.ts'
import type { Device, HostSystem } from '../contract.ts'
import { followKernelLog, type KernelLog } from '../health/kmsg.ts'
import { healthRules } from '../health/rules.ts'
import { cardWith } from '../health/testing.ts'
import { createNvidiaProbe, judgeEvent, parseXid } from '../nvidia/index.ts'
import { hostSystem } from '../system.ts'
import { createMonitor, type Monitor } from './monitor.ts'

/** A second of the rules passes in this time. */
const secondMs = 50

let folder: string
let host: FakeHost
let monitor: Monitor
let kernelLog: KernelLog
let told: string[]
let lines: string[]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'story-'))
  host = createFakeHost(folder)
  vi.stubEnv('PATH', `${host.bin}:${process.env['PATH']}`)
  told = []
  lines = []
  const system: HostSystem = { ...hostSystem, env: { ...process.env, DROVER_NVML: '0' } }
  const probe = createNvidiaProbe(async () => undefined)
  const found = (await probe.list(system)).devices
  const devices: Device[] = found.map(({ uuid = '', pciAddress = '', index = -1, pcie = {}, sensors = {} }) =>
    cardWith({ id: uuid, uuid, pciAddress, index, pcie, sensors, name: model.name }),
  )
  const log = createLogger({
    level: 'info',
    pretty: true,
    destination: { write: (line) => lines.push(line) },
  })
  const rules = {
    ...healthRules,
    holdMs: 10 * secondMs,
    recoverMs: 30 * secondMs,
    // A busy machine that runs tests may take its time between two looks.
    silentMs: 100 * secondMs,
  }
  monitor = createMonitor({
    system,
    probes: [probe],
    devices: () => devices,
    periodMs: secondMs,
    rules,
    judgeEvent,
    log,
    onVerdict: ({ device, after }) =>
      told.push(`${device.index} ${after.state}: ${after.reasons.map(({ code }) => code).join(' ')}`),
  })
  kernelLog = followKernelLog({ parseLine: parseXid, onEvent: monitor.note, log, path: host.kernelLog })
})

afterEach(() => {
  kernelLog.close()
  monitor.close()
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

const sick = `GPU-5eed000${sickCard}-d40e-4a60-8b1d-0000a600004b`

/** Waits until the sick card's verdict has these codes, in any order. */
function until(state: string, codes: string[]) {
  return vi.waitFor(
    () => {
      const { state: now, reasons } = monitor.health(sick)
      expect([now, ...new Set(reasons.map(({ code }) => code))].sort()).toEqual([state, ...codes].sort())
    },
    { timeout: 20_000, interval: 20 },
  )
}

it('a card that heats, throttles, throws XID 79 and vanishes is told of at each step, and healthy after its reset', async () => {
  await vi.waitFor(() => expect(monitor.latest(sick)?.sensors?.temperatureC).toBe(61), { timeout: 20_000 })
  host.at(story.throttles - 1)
  await until('degraded', ['hot'])
  host.at(story.throttles)
  await until('degraded', ['hot', 'throttled'])
  host.at(story.vanishes)
  await until('lost', ['xid', 'fallen_off_bus', 'error', 'hot', 'throttled'])
  host.at(story.returns)
  await until('healthy', [])

  expect(told.every((line) => line.startsWith(`${sickCard} `))).toBe(true)
  expect(told[0]).toBe(`${sickCard} degraded: hot`)
  expect(told.at(-1)).toBe(`${sickCard} healthy: `)
  const states = told.map((line) => line.split(/[ :]/)[1])
  const steps = states.filter((state, index) => state !== states[index - 1])
  expect(steps.filter((state) => state !== 'failing')).toEqual(['degraded', 'lost', 'healthy'])

  const tale = lines.join('')
  expect(tale).toMatch(/device is worse.*from=healthy.*to=degraded.*hot from 90 C \(slows down at 95 C\)/)
  expect(tale).toMatch(/it slows itself down: .*hw_thermal/)
  expect(tale).toMatch(/the kernel told of a device.*code=79/)
  expect(tale).toMatch(/device is worse.*to=lost.*Xid 79/)
  expect(tale).toMatch(/device is better.*to=healthy/)
  expect(monitor.history(sick, 'temperatureC', 1e6).map(({ value }) => value)).toContain(undefined)
})
