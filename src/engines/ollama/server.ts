import { setTimeout as sleep } from 'node:timers/promises'
import type { InstanceExit } from '../contract.ts'
import type { OllamaClient } from './client.ts'
import type { OllamaProgram } from './probe.ts'

/** An Ollama that takes requests. */
export interface OllamaServer {
  /** Where it listens; without a password. */
  url: string
  client: OllamaClient
  version: string
  /** 0 where the process is another's. */
  pid: number
  /** Requests that it runs at once of each model, where Drover has told it. */
  slots?: number
  /** Resolves when it has ended or does not answer any more; never rejects. `closed` after `stop`. */
  gone: Promise<InstanceExit>
  /** Gives it up, for a reason that `gone` tells as `hung`: a process of Drover's own is killed. */
  kill(reason: string): void
  /** What it has printed until now concerns no later end. */
  forgetOutput(): void
  /** Ends a process of Drover's own; another's is only let go. */
  stop(graceMs: number): Promise<void>
}

/** What starting or attaching servers takes. */
export interface ServerOptions {
  findProgram(): Promise<OllamaProgram>
  attachUrls: readonly string[]
  modelsDir: string
  firstPort: number
  runDir: string
  log(message: string): void
}

/** How long a server that has broken a connection may take to be seen as gone. */
const endNoticeMs = 1_000

/** How it ended, where that is known within a second. */
export async function endSoon({ gone }: OllamaServer): Promise<InstanceExit | undefined> {
  return Promise.race([gone, sleep(endNoticeMs, undefined, { ref: false })])
}
