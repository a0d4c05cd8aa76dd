import type { DeviceMemory, InstanceMemory } from '../contract.ts'

/** Enough for a whole load; later only the end matters. */
export const longestLogBytes = 256 * 1024

/** The end of what the server printed. */
export interface Log {
  append(chunk: Buffer): void
  text(): string
  /** Forgets what was printed so far. */
  clear(): void
  /** On `performance.now()`'s clock. */
  readonly lastOutputMs: number
}

/** A bounded log: the oldest chunks go first. Nothing is parsed until somebody asks. */
export function createLog(): Log {
  const chunks: Buffer[] = []
  let bytes = 0
  let lastOutputMs = performance.now()
  return {
    append(chunk) {
      chunks.push(chunk)
      bytes += chunk.length
      while (bytes > longestLogBytes && chunks.length > 1) bytes -= chunks.shift()?.length ?? 0
      lastOutputMs = performance.now()
    },
    text: () => Buffer.concat(chunks).toString('utf8'),
    clear() {
      chunks.length = 0
      bytes = 0
    },
    get lastOutputMs() {
      return lastOutputMs
    },
  }
}

/** Buffers by these names lie in the host's memory, pinned ones (`CUDA_Host`) too. */
const hostBuffer = /^(CPU|AMX|BLAS|Host)|_Host$/

const purposes = {
  model: 'modelBytes',
  KV: 'kvCacheBytes',
  RS: 'kvCacheBytes',
  compute: 'computeBytes',
  output: 'outputBytes',
} as const

/** Reads the `<device> <what> buffer size = N MiB` lines that llama.cpp prints while it allocates. */
export function parseMemory(log: string): InstanceMemory {
  const devices = new Map<string, DeviceMemory>()
  const line = /(\S+) +(model|KV|compute|output|RS) buffer size += +([\d.]+) MiB/g
  for (const [, name = '', what = '', mib] of log.matchAll(line)) {
    const device = devices.get(name) ?? emptyDevice(name)
    devices.set(name, device)
    device[purposes[what as keyof typeof purposes]] += Math.round(Number(mib) * 1024 * 1024)
  }
  const all = [...devices.values()]
  const bytes = (host: boolean) => all.reduce((sum, one) => (one.host === host ? sum + bytesOf(one) : sum), 0)
  return { vramBytes: bytes(false), hostBytes: bytes(true), ...(all.length > 0 && { devices: all }) }
}

function emptyDevice(name: string): DeviceMemory {
  const none = { modelBytes: 0, kvCacheBytes: 0, computeBytes: 0, outputBytes: 0 }
  return { name, host: hostBuffer.test(name), ...none }
}

function bytesOf({ modelBytes, kvCacheBytes, computeBytes, outputBytes }: DeviceMemory): number {
  return modelBytes + kvCacheBytes + computeBytes + outputBytes
}

/** Whether the model names no pooling of its own (`pooling type = -1`, or 0: none). */
export function lacksPooling(log: string): boolean {
  return /pooling type += +(-1|0)\b/.test(log)
}

export interface LoggedFailure {
  kind: 'out_of_memory' | 'address_in_use' | 'device_lost' | 'other'
  /** The engine's own words; absent where it said nothing about it. */
  words?: string
}

const outOfMemory =
  /out of memory|insufficient memory|failed to allocate|unable to allocate|cudaMalloc failed|OutOf(Device|Host)Memory|bad_alloc|cannot allocate memory/i
/** What CUDA, HIP, Vulkan and Level Zero say when the card itself has failed or gone. */
const deviceLost =
  /DeviceLost|DEVICE_LOST|device (?:is )?lost|GPU is lost|fallen off the bus|uncorrectable ECC|no CUDA-capable device|no (?:ROCm|HIP)-capable device|unspecified launch failure|hardware (?:failure|error)|hipErrorNoDevice|device kernel image is invalid|GPU requires reset/i
const addressInUse = /couldn't bind|address already in use/i
const crash =
  /error loading model: *(.*)|(.*(?:GGML_ASSERT|GGML_ABORT|what\(\):|CUDA error|[Ss]egmentation fault).*)/
const anyError = /\berror\b|failed|invalid argument|not supported/i

/**
 * Why a server ended, read from its log. While `loading` any line that speaks of an error will do; later such
 * lines are about single requests.
 */
export function findFailure(log: string, loading: boolean): LoggedFailure {
  const lines = log.split('\n').flatMap((line) => line.trim() || [])
  const memory = lines.find((line) => outOfMemory.test(line))
  if (memory) return { kind: 'out_of_memory', words: memory }
  const address = lines.find((line) => addressInUse.test(line))
  if (address) return { kind: 'address_in_use', words: address }
  const device = lines.find((line) => deviceLost.test(line))
  if (device) return { kind: 'device_lost', words: device }
  for (const line of lines) {
    const match = crash.exec(line)
    if (match) return { kind: 'other', words: match[1] ?? match[2] ?? line }
  }
  const last = loading ? (lines.findLast((line) => anyError.test(line)) ?? lines.at(-1)) : undefined
  return last ? { kind: 'other', words: last } : { kind: 'other' }
}
