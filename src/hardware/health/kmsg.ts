import { type Clock, systemClock } from '../../core/index.ts'
import type { Logger } from '../../observability/index.ts'
import type { DeviceEvent } from '../contract.ts'
import type { Following, LineSink } from './following.ts'
import { kmsgMessage, type ParseLine, parseDrmLine } from './kernel-lines.ts'
import { followFile } from './log-file.ts'
import { followProgram, type LogProgram } from './log-program.ts'

export interface KernelLogOptions {
  /** Reads what the vendor's own driver writes (NVRM); amdgpu, i915 and xe are read here. */
  parseLine: ParseLine
  onEvent(event: DeviceEvent): void
  log: Logger
  clock?: Clock
  /** The kernel's log, or a file in its place. */
  path?: string
  /** Tried in turn where the file may not be read. */
  programs?: readonly LogProgram[]
}

export interface KernelLog extends Following {
  /** The file or program that is read; undefined where none may be. */
  source(): string | undefined
}

/** The journal lets members of `adm` and `systemd-journal` in, where `/dev/kmsg` and `dmesg` want root. */
const defaultPrograms: readonly LogProgram[] = [
  { name: 'journalctl', args: ['--dmesg', '--follow', '--lines=1', '--output=cat'], printsLast: true },
  { name: 'dmesg', args: ['--follow-new', '--notime'], printsLast: false },
]

/**
 * Follows the kernel's log from now on and tells of what happens to devices: XIDs, resets, cards that fall off the
 * bus. Needs no root: of `/dev/kmsg`, the journal and `dmesg` it takes the first that may be read, and says in one
 * line where none may be. Never throws; `close` ends what it started.
 */
export function followKernelLog(options: KernelLogOptions): KernelLog {
  const { parseLine, onEvent, log, clock = systemClock } = options
  const { path = '/dev/kmsg', programs = defaultPrograms } = options
  const refusals: string[] = []
  let current: Following | undefined
  let name: string | undefined
  let closed = false

  const take = (line: string) => {
    const message = kmsgMessage(line)
    const event = message && (parseLine(message) ?? parseDrmLine(message))
    if (event && !closed) onEvent({ atMs: clock.now(), ...event })
  }

  /** Source 0 is the file, then come the programs. */
  const follow = (index: number) => {
    if (closed) return
    const program = index === 0 ? undefined : programs[index - 1]
    if (index > 0 && !program) {
      name = undefined
      log.info({ tried: refusals }, 'the kernel log may not be read: faults told only there stay unseen')
      return
    }
    const source = program?.name ?? path
    name = source
    const sink: LineSink = {
      line: take,
      end: (reason) => {
        refusals.push(`${source}: ${reason}`)
        follow(index + 1)
      },
    }
    current = program ? followProgram(program, clock, sink) : followFile(path, clock, sink)
  }

  follow(0)
  return {
    source: () => name,
    close: () => {
      closed = true
      current?.close()
    },
  }
}
