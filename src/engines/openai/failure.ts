import type { InstanceExit } from '../contract.ts'
import type { ExitReport } from '../llamacpp/exit-report.ts'

/** What vLLM, SGLang, TabbyAPI and PyTorch say when a model, or its KV cache, does not fit. */
const outOfMemory =
  /out of memory|OutOfMemoryError|No available memory for the cache blocks|larger than the available KV cache memory|less than desired GPU memory utilization|Not enough memory\b|Insufficient VRAM|increase --mem-fraction-static|hipErrorOutOfMemory/i
/** The last line of a Python traceback, with what log handlers put before it. */
const exception = /^(?:.*?\s)?([A-Za-z_][\w.]*(?:Error|Exception|Interrupt): .+)$/

export interface ServerFailure {
  kind: 'out_of_memory' | 'address_in_use' | 'device_lost' | 'other'
  reason: string
  killed: boolean
}

/** How a Python server ended: what its log says of memory first, then its last exception, then what is said of any. */
export async function explainEnd(
  report: ExitReport,
  log: () => string,
  during: 'loading' | 'running',
): Promise<ServerFailure> {
  const general = await report(during)
  // What the system says of an end is surer than any log.
  if (general.killed || general.kind === 'address_in_use') return general
  const lines = log().split('\n')
  const memory = lines.find((line) => outOfMemory.test(line))
  const how = /\((?:signal|exit code) [^)]*\)$/.exec(general.reason)?.[0] ?? `(${general.reason})`
  if (memory !== undefined) return { ...general, kind: 'out_of_memory', reason: `${readable(memory)} ${how}` }
  const last = lines.flatMap((line) => exception.exec(line.trim())?.[1] ?? []).at(-1)
  if (last === undefined || general.kind !== 'other') return general
  return { ...general, reason: `${readable(last)} ${how}` }
}

export function exitKind({ kind }: ServerFailure): InstanceExit['kind'] {
  return kind === 'out_of_memory' || kind === 'device_lost' ? kind : 'crashed'
}

const longestWords = 500

function readable(words: string): string {
  const text = words.replace(/[\p{Cc}\uFFFD]+/gu, ' ').trim()
  return text.length > longestWords ? `${text.slice(0, longestWords)}…` : text
}
