import { execFileSync } from 'node:child_process'
import { appendFileSync, chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { createLogger } from '../../observability/index.ts'
import type { DeviceEvent } from '../contract.ts'
import { kmsgMessage, type ParseLine, parseDrmLine } from './kernel-lines.ts'
import { followKernelLog, type KernelLog } from './kmsg.ts'
import type { LogProgram } from './log-program.ts'

let folder: string
let events: DeviceEvent[]
let logged: string[]
let following: KernelLog | undefined

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'kernel-log-'))
  events = []
  logged = []
})

afterEach(() => {
  following?.close()
  following = undefined
  rmSync(folder, { recursive: true, force: true })
})

/** Stands in for the vendor's reader. */
const parseLine: ParseLine = (line) => {
  const code = /NVRM: Xid .*: (\d+),/.exec(line)?.[1]
  return code === undefined ? undefined : { kind: 'xid', code: Number(code), text: line }
}

function follow(path: string, programs: readonly LogProgram[] = []) {
  following = followKernelLog({
    parseLine,
    onEvent: (event) => events.push(event),
    log: createLogger({ level: 'info', pretty: true, destination: { write: (line) => logged.push(line) } }),
    path,
    programs,
  })
  return following
}

/** A shell script in place of `journalctl`. */
function program(name: string, script: string, printsLast = false): LogProgram {
  const path = join(folder, name)
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return { name: path, args: [], printsLast }
}

const seen = () => events.map(({ kind, code }) => [kind, code].join(' ').trim())
const until = (expected: string[]) => vi.waitFor(() => expect(seen()).toEqual(expected), { timeout: 5000 })

describe('a file that grows', () => {
  it('is followed from its end on, record by record', async () => {
    const path = join(folder, 'kmsg')
    writeFileSync(path, '4,1,100,-;NVRM: Xid (PCI:0000:01:00): 31, old\n')
    const log = follow(path)
    expect(log.source()).toBe(path)
    appendFileSync(
      path,
      '4,2,200,-;NVRM: Xid (PCI:0000:01:00): 79, GPU has fallen off the bus.\n SUBSYSTEM=pci\n',
    )
    appendFileSync(path, '6,3,300,-;usb 1-1: new device\n3,4,400,-;amdgpu 0000:03:00.0: amdgpu: GPU re')
    await until(['xid 79'])
    appendFileSync(path, 'set begin!\n')
    await until(['xid 79', 'driver_reset'])
    expect(events[1]).toMatchObject({
      pciAddress: '0000:03:00.0',
      text: 'amdgpu 0000:03:00.0: amdgpu: GPU reset begin!',
    })
    expect(Math.abs(Date.now() - (events[1]?.atMs ?? 0))).toBeLessThan(5000)
  })

  it('is let go of by close: nothing comes after it, and the file is not held', async () => {
    const path = join(folder, 'kmsg')
    writeFileSync(path, '')
    const log = follow(path)
    const held = () =>
      execFileSync('ls', ['-l', `/proc/${process.pid}/fd`], { encoding: 'utf8' }).includes(path)
    expect(held()).toBe(true)
    log.close()
    expect(held()).toBe(false)
    appendFileSync(path, 'NVRM: Xid (PCI:0000:01:00): 79, late\n')
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(events).toEqual([])
  })
})

describe('where the file may not be read', () => {
  const nowhere = () => join(folder, 'nowhere')
  const xid = "echo 'NVRM: Xid (PCI:0000:01:00): 48, DBE'"

  it('a program is followed, and ended by close', async () => {
    const log = follow(nowhere(), [program('follows', `echo $$ > ${folder}/pid; ${xid}; exec sleep 60`)])
    await until(['xid 48'])
    expect(log.source()).toBe(join(folder, 'follows'))
    const pid = execFileSync('cat', [join(folder, 'pid')], { encoding: 'utf8' }).trim()
    log.close()
    await vi.waitFor(() => expect(() => process.kill(Number(pid), 0)).toThrow('ESRCH'))
  })

  it('the old line that shows that a program may read is no news', async () => {
    const script = `echo 'NVRM: Xid (PCI:0000:01:00): 31, old'; ${xid}; exec sleep 60`
    follow(nowhere(), [program('journal', script, true)])
    await until(['xid 48'])
  })

  it('the next is tried after one that is missing, is refused, or follows nothing', async () => {
    const hint = 'Hint: You are currently not seeing messages from other users and the system.'
    follow(nowhere(), [
      { name: join(folder, 'missing'), args: [], printsLast: false },
      program('refused', "echo 'dmesg: read kernel buffer failed: Operation not permitted' >&2; exit 1"),
      program('blind', `echo '${hint}' >&2; exec sleep 60`),
      program('silent', 'exec sleep 60', true),
      program('works', `${xid}; exec sleep 60`),
    ])
    await until(['xid 48'])
    expect(logged).toEqual([])
  })

  it('one line says so where none may be read, with each reason', async () => {
    const log = follow(nowhere(), [program('refused', "echo 'Operation not permitted' >&2; exit 1")])
    await vi.waitFor(() => expect(logged).toHaveLength(1))
    expect(logged[0]).toMatch(/kernel log may not be read.*ENOENT.*refused: Operation not permitted/)
    expect(log.source()).toBeUndefined()
  })
})

describe('lines of the kernel', () => {
  it.each<[string, string, string | undefined]>([
    ['amdgpu 0000:05:00.0: amdgpu: GPU reset begin!', 'driver_reset', '0000:05:00.0'],
    ['amdgpu 0000:28:00.0: GPU reset begin!. Source:  1', 'driver_reset', '0000:28:00.0'],
    ['amdgpu 0000:05:00.0: amdgpu: device lost from bus!', 'fallen_off_bus', '0000:05:00.0'],
    ['amdgpu 0000:05:00.0: amdgpu: GPU reset end with ret = -62', 'fallen_off_bus', '0000:05:00.0'],
    ['i915 0000:00:02.0: [drm] GPU HANG: ecode 12:1:8ed9fff2, in llama [77]', 'driver_reset', '0000:00:02.0'],
    ['[drm] GPU HANG: ecode 7:0:0x87c3ffff, reason: Ring hung, action: reset', 'driver_reset', undefined],
    ['i915 0000:00:02.0: Resetting rcs0 for hang on rcs0', 'driver_reset', '0000:00:02.0'],
    [
      'i915 0000:00:02.0: [drm] *ERROR* GT0: Failed to initialize GPU, declaring it wedged!',
      'fallen_off_bus',
      '0000:00:02.0',
    ],
    ['xe 0000:03:00.0: [drm] Tile0: GT0: reset started', 'driver_reset', '0000:03:00.0'],
    [
      'xe 0000:03:00.0: [drm] *ERROR* CRITICAL: Xe has declared device 0000:03:00.0 as wedged.',
      'fallen_off_bus',
      '0000:03:00.0',
    ],
  ])('%s', (line, kind, pciAddress) => {
    const event = parseDrmLine(line)
    expect(event).toEqual({ kind, text: line, ...(pciAddress && { pciAddress }) })
  })

  it.each([
    'amdgpu 0000:05:00.0: amdgpu: GPU reset succeeded, trying to resume',
    'amdgpu 0000:05:00.0: amdgpu: GPU reset(2) succeeded!',
    'i915 0000:00:02.0: [drm] GT0: GUC: submission enabled',
    'xe 0000:03:00.0: [drm] GT0: reset done',
    'usb 1-1: reset high-speed USB device number 2',
    '',
  ])('tell of no fault: %s', (line) => {
    expect(parseDrmLine(line)).toBeUndefined()
  })

  it('are taken out of records of /dev/kmsg, whose tags are no lines', () => {
    expect(kmsgMessage('6,1234,5678901234,-;text; with more')).toBe('text; with more')
    expect(kmsgMessage('4,1,2,c,caller=T1;text')).toBe('text')
    expect(kmsgMessage('plain text')).toBe('plain text')
    expect(kmsgMessage(' DEVICE=+pci:0000:03:00.0')).toBeUndefined()
    expect(kmsgMessage('6,1,2,-;')).toBeUndefined()
  })
})
