import { describe, expect, it } from 'vitest'
import { recordedSystem } from '../testing.ts'
import { lookAtHost } from './host.ts'

const look = (files: Record<string, string>, env = {}) => lookAtHost(recordedSystem(files, {}, env))

describe('a look at the machine', () => {
  it('tells containers and Windows apart from plain Linux', () => {
    expect(look({}).container).toBeUndefined()
    expect(look({ '/.dockerenv': '' }).container).toBe('Docker')
    expect(look({ '/run/.containerenv': '' }).container).toBe('Podman')
    expect(look({ '/run/systemd/container': 'lxc\n' }).container).toBe('lxc')
    expect(look({ '/.dockerenv': '' }, { KUBERNETES_SERVICE_HOST: '10.0.0.1' }).container).toBe('Kubernetes')
    const kernel = '/proc/sys/kernel/osrelease'
    expect(look({ [kernel]: '5.15.90.1-microsoft-standard-WSL2' }).wsl).toBe(2)
    expect(look({ [kernel]: '4.4.0-19041-Microsoft' }).wsl).toBe(1)
    expect(look({ [kernel]: '6.12.0-amd64' }).wsl).toBeUndefined()
  })

  it('reads swap, and how much everything waits for memory', () => {
    const { memory } = look({
      '/proc/meminfo': 'MemTotal:  16000000 kB\nSwapTotal:  2000000 kB\nSwapFree:  500000 kB\n',
      '/proc/pressure/memory':
        'some avg10=9.0 avg60=20.00 avg300=1 total=5\nfull avg10=1 avg60=12.50 avg300=1 total=4\n',
    })
    expect(memory).toMatchObject({
      machineBytes: 16_000_000 * 1024,
      swapTotalBytes: 2_000_000 * 1024,
      swapUsedBytes: 1_500_000 * 1024,
      pressure: 0.125,
    })
  })

  it('takes the tightest limit of CPU time, of either version of control groups', () => {
    const group = { '/proc/self/cgroup': '0::/system.slice/drover.service\n' }
    const root = '/sys/fs/cgroup/system.slice'
    const files = {
      ...group,
      [`${root}/cpu.max`]: '400000 100000\n',
      [`${root}/drover.service/cpu.max`]: 'max 100000\n',
    }
    expect(look(files).cpuQuota).toBe(4)
    const old = {
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '150000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    }
    expect(look(old).cpuQuota).toBe(1.5)
    expect(look({ ...old, '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n' }).cpuQuota).toBeUndefined()
  })

  it('reads limits, clocks and switches of the kernel', () => {
    const files = {
      '/proc/self/limits':
        'Limit  Soft Limit  Hard Limit  Units\nMax open files            1024                 4096                 files\n',
      '/proc/sys/vm/overcommit_memory': '2\n',
      '/proc/sys/kernel/numa_balancing': '1\n',
      '/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor': 'powersave\n',
      '/sys/devices/system/cpu/cpu0/cpufreq/scaling_driver': 'intel_pstate\n',
      '/etc/os-release': 'PRETTY_NAME="Ubuntu 24.04"\nID=ubuntu\nID_LIKE=debian\n',
    }
    expect(look(files, { CUDA_VISIBLE_DEVICES: '1', ROCR_VISIBLE_DEVICES: '' })).toMatchObject({
      openFiles: 1024,
      strictOvercommit: true,
      numaBalancing: true,
      governor: { name: 'powersave', driver: 'intel_pstate' },
      distribution: 'ubuntu debian',
      visibility: { CUDA_VISIBLE_DEVICES: '1' },
    })
  })

  it('leaves out what the machine does not tell', () => {
    expect(look({})).toMatchObject({
      strictOvercommit: false,
      numaBalancing: false,
      visibility: {},
      distribution: '',
    })
    expect(Object.keys(look({}))).not.toContain('governor')
  })
})
