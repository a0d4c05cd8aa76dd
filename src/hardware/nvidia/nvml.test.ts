import { describe, expect, it, vi } from 'vitest'
import { type Nvml, type NvmlArgument, openLibrary, openNvml } from './nvml.ts'
import { nvmlSampler } from './nvml-sampler.ts'

const cLibrary = { linux: 'libc.so.6', darwin: 'libSystem.B.dylib', win32: 'msvcrt.dll' }[
  process.platform as 'linux'
]

describe('openLibrary', () => {
  it('calls functions of a real library on other threads, and writes into buffers', async () => {
    const library = await openLibrary(cLibrary)
    expect(await library?.call('abs', 0xffff_fffb)).toBe(5)
    const bytes = Buffer.alloc(4)
    await library?.call('memset', bytes, 7, 4)
    expect([...bytes]).toEqual([7, 7, 7, 7])
  })

  it('gives nothing for a function or a library that is not there', async () => {
    const library = await openLibrary(cLibrary)
    expect(await library?.call('nvmlDeviceGetNothingAtAll', 1n)).toBeUndefined()
    expect(await openLibrary('libnothing-of-this-name.so.9')).toBeUndefined()
  })

  it('opens NVML where it is, and says where it is not', async () => {
    const nvml = await openNvml()
    expect([undefined, 0]).toContain(await nvml?.call('nvmlDeviceGetCount_v2', Buffer.alloc(4)))
  })
})

type Answer = number | { code?: number; write(out: Buffer, args: readonly NvmlArgument[]): void }

const u32 = (value: number): Answer => ({ write: (out) => out.writeUInt32LE(value) })
const u64 = (value: bigint): Answer => ({ write: (out) => out.writeBigUInt64LE(value) })

/** A library that answers from a table; a function that is not in it is missing. Handles are numbers from 100 on. */
function fakeNvml(
  answers: Record<string, Answer | ((handle: bigint) => Answer)>,
): Nvml & { calls: string[] } {
  const calls: string[] = []
  const table: typeof answers = {
    nvmlDeviceGetCount_v2: u32(2),
    nvmlDeviceGetHandleByIndex_v2: {
      write: (out, [index]) => out.writeBigUInt64LE(100n + BigInt(Number(index))),
    },
    nvmlDeviceGetUUID: (handle) => ({ write: (out) => out.write(`GPU-${handle}0000-0000`) }),
    nvmlDeviceGetPciInfo_v3: (handle) => ({
      write: (out) => out.write(`00000000:0${handle - 99n}:00.0`, 36),
    }),
    nvmlShutdown: 0,
    ...answers,
  }
  return {
    calls,
    call(name, ...args) {
      calls.push(name)
      const [first] = args
      const entry = table[name]
      const answer = typeof entry === 'function' ? entry(typeof first === 'bigint' ? first : 0n) : entry
      if (answer === undefined || typeof answer === 'number') return Promise.resolve(answer)
      const out = args.find((arg) => Buffer.isBuffer(arg))
      if (Buffer.isBuffer(out)) answer.write(out, args)
      return Promise.resolve(answer.code ?? 0)
    },
  }
}

describe('nvmlSampler', () => {
  it('reads what the library tells, and leaves out what it does not', async () => {
    const nvml = fakeNvml({
      nvmlDeviceGetUtilizationRates: { write: (out) => out.writeUInt32LE(42) },
      nvmlDeviceGetMemoryInfo_v2: {
        write(out) {
          expect(out.readUInt32LE()).toBe(0x0200_0028)
          out.writeBigUInt64LE(1000n, 8)
          out.writeBigUInt64LE(400n, 32)
        },
      },
      nvmlDeviceGetTemperature: u32(61),
      nvmlDeviceGetPowerUsage: u32(250_500),
      nvmlDeviceGetFanSpeed: 3,
      nvmlDeviceGetCurrentClocksThrottleReasons: u64(0x24n),
      nvmlDeviceGetTotalEccErrors: u64(7n),
      nvmlDeviceGetComputeRunningProcesses_v2: {
        write(out) {
          out.writeUInt32LE(0)
        },
      },
    })
    const readings = await (await nvmlSampler(nvml))?.sample()
    expect(readings).toHaveLength(2)
    expect(readings?.[1]).toEqual({
      vendor: 'nvidia',
      source: 'nvml',
      index: 1,
      uuid: 'GPU-1010000-0000',
      pciAddress: '0000:02:00.0',
      sensors: {
        utilization: 0.42,
        memoryUtilization: 0,
        memoryTotalBytes: 1000,
        memoryUsedBytes: 400,
        temperatureC: 61,
        powerWatts: 250.5,
        throttle: ['power_cap', 'sw_thermal'],
        ecc: { corrected: 7, uncorrected: 7 },
        processes: [],
      },
    })
  })

  it('asks no function again that a card does not have', async () => {
    const nvml = fakeNvml({ nvmlDeviceGetTemperature: u32(50), nvmlDeviceGetFanSpeed: 3 })
    const sampler = await nvmlSampler(nvml)
    await sampler?.sample()
    nvml.calls.length = 0
    await sampler?.sample()
    expect([...new Set(nvml.calls)]).toEqual(['nvmlDeviceGetCount_v2', 'nvmlDeviceGetTemperature'])
  })

  it('tells a lost card without its old values, and reads the other', async () => {
    let lost = false
    const nvml = fakeNvml({ nvmlDeviceGetTemperature: (handle) => (lost && handle === 101n ? 15 : u32(50)) })
    const sampler = await nvmlSampler(nvml)
    await sampler?.sample()
    lost = true
    const [first, second] = (await sampler?.sample()) ?? []
    expect(first).toMatchObject({ sensors: { temperatureC: 50 } })
    expect(second).toMatchObject({ state: 'lost', stateReason: 'GPU is lost', uuid: 'GPU-1010000-0000' })
    expect(second).not.toHaveProperty('sensors')
  })

  it('tells MIG instances of a card that is cut', async () => {
    const nvml = fakeNvml({
      nvmlDeviceGetCount_v2: u32(1),
      nvmlDeviceGetMigMode: u32(1),
      nvmlDeviceGetMaxMigDeviceCount: u32(7),
      nvmlDeviceGetMigDeviceHandleByIndex: u64(500n),
      nvmlDeviceGetUUID: (handle) => ({
        write: (out) => out.write(handle === 500n ? 'MIG-5000' : 'GPU-1000'),
      }),
      nvmlDeviceGetMemoryInfo: { write: (out) => out.writeBigUInt64LE(64n, 0) },
    })
    const readings = await (await nvmlSampler(nvml))?.sample()
    expect(readings).toHaveLength(8)
    expect(readings?.[1]).toMatchObject({
      kind: 'partition',
      index: 0,
      uuid: 'MIG-5000',
      parent: { uuid: 'GPU-1000', index: 0 },
      sensors: { memoryTotalBytes: 64, memoryUsedBytes: 0 },
    })
  })

  it('does not wait for a card that hangs, and starts no second look at it', async () => {
    vi.useFakeTimers()
    try {
      let release: (code: number) => void = () => expect.fail('nothing hangs yet')
      const quick = fakeNvml({})
      const nvml: Nvml = {
        call: (name, ...args) =>
          name === 'nvmlDeviceGetTemperature' && args[0] === 101n
            ? new Promise((resolve) => {
                release = resolve
              })
            : quick.call(name, ...args),
      }
      const sampler = await nvmlSampler(nvml)
      const late = sampler?.sample()
      await vi.advanceTimersByTimeAsync(2000)
      expect((await late)?.map(({ state }) => state)).toEqual([undefined, 'error'])
      const asked = quick.calls.length
      const again = sampler?.sample()
      await vi.advanceTimersByTimeAsync(2000)
      await again
      expect(quick.calls).toHaveLength(asked)
      release(0)
      expect((await sampler?.sample())?.map(({ state }) => state)).toEqual([undefined, undefined])
    } finally {
      vi.useRealTimers()
    }
  })

  it('is over when the driver is', async () => {
    let code = 0
    const nvml = fakeNvml({ nvmlDeviceGetCount_v2: () => ({ code, write: (out) => out.writeUInt32LE(1) }) })
    const sampler = await nvmlSampler(nvml)
    code = 9
    expect(await sampler?.sample()).toBeUndefined()
  })
})
