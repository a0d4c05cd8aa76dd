import { describe, expect, it } from 'vitest'
import { recordedSystem } from '../testing.ts'
import { lookAtKernel, readLog } from './kernel.ts'

const log = [
  '[    0.000000] Linux version 6.12.0',
  "[ 1000.500000] NVRM: Xid (PCI:0000:41:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus.",
  '[ 1100.000000] Out of memory: Killed process 4321 (llama-server) total-vm:9kB, anon-rss:8kB',
  '[ 1200.000000] Memory cgroup out of memory: Killed process 4400 (node-MainThread) total-vm:9kB',
  '[ 1300.000000] Out of memory: Killed process 4500 (firefox) total-vm:9kB',
  '[ 1400.000000] amdgpu 0000:03:00.0: amdgpu: GPU reset begin!',
].join('\n')

describe("the kernel's log", () => {
  it('gives the events of cards and the engines that were ended, with their times', () => {
    const { events, killed } = readLog(log, 1_000_000)
    expect(events).toMatchObject([
      { kind: 'xid', code: 79, pciAddress: '0000:41:00.0', atMs: 2_000_500 },
      { kind: 'driver_reset', pciAddress: '0000:03:00.0', atMs: 2_400_000 },
    ])
    expect(killed).toEqual([
      { name: 'llama-server', pid: 4321, atMs: 2_100_000, byLimit: false },
      { name: 'node-MainThread', pid: 4400, atMs: 2_200_000, byLimit: true },
    ])
  })

  it('is taken from the journal where dmesg is refused, which names host and sender', async () => {
    const stdout = '[ 1000.500000] box kernel: NVRM: Xid (PCI:0000:41:00): 48, pid=1, DBE\n'
    const system = recordedSystem(
      { '/proc/uptime': '2000.00 3900.00\n' },
      {
        dmesg: { outcome: 'failed', stderr: 'dmesg: read kernel buffer failed: Operation not permitted' },
        journalctl: { outcome: 'ok', stdout },
      },
    )
    const look = await lookAtKernel(system, 5_000_000)
    expect(look?.events).toMatchObject([{ code: 48, atMs: 4_000_500 }])
  })

  it('is not there where neither may be read', async () => {
    const system = recordedSystem({ '/proc/uptime': '2000.00 3900.00\n' })
    expect(await lookAtKernel(system, 0)).toBeUndefined()
    expect(await lookAtKernel(recordedSystem({}), 0)).toBeUndefined()
  })
})
