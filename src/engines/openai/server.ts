import type { InstanceExit, InstanceMemory } from '../contract.ts'
import type { OpenAiClient } from './client.ts'
import type { Dialect, ServedModel } from './dialect.ts'

/** A server that answers, of Drover's own or another's. */
export interface OpenAiServer {
  /** For people: `the vLLM at http://10.0.0.5:8000`. */
  title: string
  client: OpenAiClient
  dialect: Dialect
  /** Where it publishes what its KV cache stores and evicts (`tcp://host:port`, `ipc:///path`); absent: nowhere. */
  kvEvents?: string
  /** 0 where the process is another's. */
  pid: number
  /** Resolves when it has ended or does not answer any more; never rejects. `closed` after `stop`. */
  gone: Promise<InstanceExit>
  /** Whether it has ended, asked when a connection has broken: how, or nothing where it lives. */
  endedNow(): Promise<InstanceExit | undefined>
  /** Gives it up, for a reason that `gone` tells as `hung`: a process of Drover's own is killed. */
  kill(reason: string): void
  /** Ends a process of Drover's own; another's is only let go. */
  stop(graceMs: number): Promise<void>
}

/** A model that a server has ready. */
export interface ReadyModel extends ServedModel {
  slots: number
  memory: InstanceMemory
  chatOnly: boolean
  /** Undoes what made it ready, in a server that goes on: unloads it, or lays it to sleep. */
  putAway?(signal: AbortSignal): Promise<void>
}
