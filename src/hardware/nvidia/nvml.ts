import type { LibraryHandle } from 'koffi'

/** A device handle as NVML gives it, a number, or memory that NVML reads or writes. */
export type NvmlArgument = bigint | number | Buffer

/** NVIDIA's management library. One call at a time: the driver takes locks, and a call may hang with the card. */
export interface Nvml {
  /**
   * Calls a function on a thread of its own, so that a slow driver holds nothing up.
   *
   * @returns its `nvmlReturn_t`; undefined where this version of the library has no such function
   */
  call(name: string, ...args: NvmlArgument[]): Promise<number | undefined>
}

/** Opens the library; undefined where there is none, or it does not start. */
export type OpenNvml = () => Promise<Nvml | undefined>

const libraries: Partial<Record<NodeJS.Platform, readonly string[]>> = {
  linux: ['libnvidia-ml.so.1', '/usr/lib/wsl/lib/libnvidia-ml.so.1'],
  win32: ['nvml.dll', 'C:\\Program Files\\NVIDIA Corporation\\NVSMI\\nvml.dll'],
}

const success = 0

/** Opens NVML and starts it. It stays open until `closeNvml`: starting anew costs as much as hundreds of looks. */
export const openNvml: OpenNvml = async () => {
  for (const path of libraries[process.platform] ?? []) {
    const nvml = await openLibrary(path)
    if (nvml === undefined) continue
    const code = await nvml.call('nvmlInit_v2')
    return code === success ? nvml : undefined
  }
  return undefined
}

/** Lets go of the cards: a card that a library holds open cannot be reset. */
export async function closeNvml(nvml: Nvml): Promise<void> {
  await nvml.call('nvmlShutdown')
}

/** The functions of a shared library that return an `int`; undefined where it cannot be loaded. */
export async function openLibrary(path: string): Promise<Nvml | undefined> {
  let library: LibraryHandle
  try {
    const { default: koffi } = await import('koffi')
    // NVML puts whole driver requests on its stack: more than koffi gives a call by default.
    if (koffi.config().async_stack_size !== stackBytes) koffi.config({ async_stack_size: stackBytes })
    library = koffi.load(path)
  } catch {
    // No such library, or no koffi for this platform: nvidia-smi is asked instead.
    return undefined
  }
  const functions = new Map<string, NativeFunction | undefined>()
  return {
    async call(name, ...args) {
      if (!functions.has(name)) functions.set(name, bind(library, name, args))
      const native = functions.get(name)
      return native === undefined ? undefined : await invoke(native, args)
    },
  }
}

const stackBytes = 1024 * 1024

interface NativeFunction {
  async(...args: unknown[]): void
}

/** A function's types are those of its first call: each NVML function has one form. */
function bind(
  library: LibraryHandle,
  name: string,
  args: readonly NvmlArgument[],
): NativeFunction | undefined {
  try {
    return library.func(
      name,
      'int',
      args.map((arg) => (typeof arg === 'number' ? 'uint32_t' : 'void *')),
    )
  } catch {
    // An older library: the field that this function tells is absent.
    return undefined
  }
}

function invoke(native: NativeFunction, args: readonly NvmlArgument[]): Promise<number> {
  return new Promise((resolve, reject) => {
    native.async(...args, (error: unknown, code: number) => {
      if (error === null || error === undefined) resolve(code)
      else reject(error instanceof Error ? error : new Error(String(error)))
    })
  })
}
