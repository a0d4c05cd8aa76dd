import type { InstanceMemory } from '../contract.ts'

/** Enough for a whole load; later only the end matters. */
const longestLogBytes = 256 * 1024

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

/** Sums the `<device> <what> buffer size = N MiB` lines that llama.cpp prints while it allocates. */
export function parseMemory(log: string): InstanceMemory {
  const memory = { vramBytes: 0, hostBytes: 0 }
  const line = /(\S+) +(?:model|KV|compute|output|RS) buffer size += +([\d.]+) MiB/g
  for (const [, device = '', mib] of log.matchAll(line)) {
    memory[hostBuffer.test(device) ? 'hostBytes' : 'vramBytes'] += Math.round(Number(mib) * 1024 * 1024)
  }
  return memory
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
