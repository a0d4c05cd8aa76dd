import type { DeviceState } from '../contract.ts'
import type { Nvml, NvmlArgument } from './nvml.ts'

/** Return codes of NVML (`nvmlReturn_t`, nvml.h) that say more than "no value". */
export const nvmlCodes = {
  success: 0,
  uninitialized: 1,
  notSupported: 3,
  noPermission: 4,
  insufficientSize: 7,
  driverNotLoaded: 9,
  gpuIsLost: 15,
  resetRequired: 16,
  unknown: 999,
} as const

/** Where NVML says "no value" inside a value, it is all ones. */
const noValue = 0xffff_ffff_ffff_ffffn

/** Asks one device of NVML, and keeps in mind what it does not have and how it fails. */
export interface NvmlDevice {
  /** The number that a function writes; undefined where it tells none. */
  u32(name: string, ...args: NvmlArgument[]): Promise<number | undefined>
  u64(name: string, ...args: NvmlArgument[]): Promise<bigint | undefined>
  text(name: string, ...args: NvmlArgument[]): Promise<string | undefined>
  /** Calls with the device's handle before `args`; true where it succeeded. */
  ask(name: string, ...args: NvmlArgument[]): Promise<boolean>
  /** The return code of such a call; undefined where there is no such function. */
  code(name: string, ...args: NvmlArgument[]): Promise<number | undefined>
  /** What its answers since `forget` say of the device. */
  state(): { state?: DeviceState; stateReason?: string }
  /** Begins a new look. */
  forget(): void
  readonly handle: bigint
}

export function nvmlDevice(nvml: Nvml, handle: bigint): NvmlDevice {
  const unsupported = new Set<string>()
  let gone: number | undefined
  let failures = 0

  async function code(name: string, ...args: NvmlArgument[]): Promise<number | undefined> {
    // A card that is lost answers nothing, and may take long not to.
    if (gone !== undefined) return gone
    const key = `${name} ${args.filter((arg) => typeof arg === 'number')}`
    if (unsupported.has(key)) return nvmlCodes.notSupported
    const answer = await nvml.call(name, handle, ...args)
    if (answer === undefined || answer === nvmlCodes.notSupported) unsupported.add(key)
    if (answer === nvmlCodes.gpuIsLost || answer === nvmlCodes.resetRequired) gone = answer
    if (answer === nvmlCodes.unknown) failures += 1
    return answer
  }
  const ask = async (name: string, ...args: NvmlArgument[]): Promise<boolean> =>
    (await code(name, ...args)) === nvmlCodes.success

  return {
    handle,
    code,
    ask,
    async u32(name, ...args) {
      const out = Buffer.alloc(4)
      return (await ask(name, ...args, out)) ? out.readUInt32LE() : undefined
    },
    async u64(name, ...args) {
      const out = Buffer.alloc(8)
      const value = (await ask(name, ...args, out)) ? out.readBigUInt64LE() : noValue
      return value === noValue ? undefined : value
    },
    async text(name, ...args) {
      const out = Buffer.alloc(128)
      return (await ask(name, ...args, out, out.length)) ? textIn(out) : undefined
    },
    state: () => stateOf(gone, failures),
    forget() {
      gone = undefined
      failures = 0
    },
  }
}

/** The text up to its first zero byte; undefined where it is empty. */
export function textIn(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(0)
  const text = bytes.toString('latin1', 0, end < 0 ? bytes.length : end).trim()
  return text === '' ? undefined : text
}

/** A size that is not told is all ones. */
export function sizeAt(bytes: Buffer, offset: number): number | undefined {
  const value = bytes.readBigUInt64LE(offset)
  return value === noValue ? undefined : Number(value)
}

/** One unknown error may be a sensor's; several in one look are the card's. */
function stateOf(gone: number | undefined, failures: number): { state?: DeviceState; stateReason?: string } {
  if (gone === nvmlCodes.gpuIsLost) return { state: 'lost', stateReason: 'GPU is lost' }
  if (gone === nvmlCodes.resetRequired) return { state: 'lost', stateReason: 'GPU requires reset' }
  if (failures < 2) return {}
  return { state: 'error', stateReason: `${failures} of its values read "Unknown Error"` }
}
