import { DroverError, type ErrorCode } from '../../inference/index.ts'
import type {
  CompletionRequest,
  EngineDevice,
  EngineEvent,
  InstanceMemory,
  InstanceSpec,
} from '../contract.ts'

/**
 * Events of one request that may be on their way to its reader. A request whose reader is slower waits for it,
 * in the child, without holding up the others.
 */
export const eventWindow = 256

/** A question with one answer. */
export type Question =
  | { kind: 'tokenize'; text: string; addSpecial: boolean }
  | { kind: 'detokenize'; tokens: number[] }
  | { kind: 'embed'; inputs: (string | number[])[] }
  | { kind: 'saveSession' | 'restoreSession'; prompt: string | number[]; path: string }
  | { kind: 'ping' }

/** Drover to the instance's process. `id` is of the request, unique among those that run. */
export type ToChild =
  | { type: 'load'; spec: InstanceSpec; threads: number }
  | { type: 'generate'; id: number; request: CompletionRequest }
  /** The reader took so many events. */
  | { type: 'acknowledge'; id: number; events: number }
  | { type: 'cancel'; id: number }
  | { type: 'ask'; id: number; question: Question }
  /** Free everything and exit; sent only when nothing runs. */
  | { type: 'close' }

/** The instance's process to Drover. */
export type FromChild =
  /** The load goes on. */
  | { type: 'loading' }
  | { type: 'ready'; contextLength: number; memory: InstanceMemory; llamaCpp: string }
  | { type: 'loadFailed'; error: WireError }
  /** What one step gave: at most one batch of native work, for all requests together. */
  | { type: 'events'; events: [id: number, event: EngineEvent][] }
  | { type: 'failed'; id: number; error: WireError }
  | { type: 'answer'; id: number; value: unknown }

/** What the process that only looks around reports; memory is of all devices together. */
export interface Discovery {
  llamaCpp: string
  devices: Pick<EngineDevice, 'name' | 'description'>[]
  totalBytes: number
  freeBytes: number
}

export interface WireError {
  code: ErrorCode
  message: string
}

export function toWire(thrown: unknown): WireError {
  if (thrown instanceof DroverError) return { code: thrown.code, message: thrown.message }
  const message = thrown instanceof Error ? thrown.message : String(thrown)
  return { code: 'engine_failed', message: `an error was encountered while running the model: ${message}` }
}

export function fromWire({ code, message }: WireError): DroverError {
  return new DroverError(code, message)
}
