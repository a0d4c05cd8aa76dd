import type { Check, Finding, MemoryLook } from '../contract.ts'
import { agoText, counted, gpusOf, listed, sizeText } from '../naming.ts'

const gib = 2 ** 30

/** Below this even small models with Drover beside them are tight. */
const leastMemoryBytes = 4 * gib
const leastAvailableBytes = 1 * gib
/** Shares from which on swapping counts as heavy. */
const heavySwap = 0.25
const scarceMemory = 0.15
const heavyPressure = 0.05

export const memory: Check = ({ host }) => {
  if (!host) return []
  const { memory: look } = host
  const findings = [...lowMemory(look), ...swapping(look), ...limitedMemory(look)]
  if (findings.some(({ level }) => level === 'warning')) return findings
  const title = `Memory: ${sizeText(look.availableBytes)} of ${sizeText(look.totalBytes)} are free`
  return [...findings, { code: 'memory_well', level: 'ok', title, detail: '' }]
}

function lowMemory({ totalBytes, availableBytes }: MemoryLook): Finding[] {
  if (totalBytes >= leastMemoryBytes && availableBytes >= leastAvailableBytes) return []
  const small = totalBytes < leastMemoryBytes
  return [
    {
      code: 'memory_low',
      level: 'warning',
      title: small
        ? `There is little memory: ${sizeText(totalBytes)}`
        : `Memory is nearly used up: ${sizeText(availableBytes)} of ${sizeText(totalBytes)} are left`,
      detail: 'A model goes through memory when it is loaded, also on its way to a GPU.',
      advice: small
        ? 'Run small models, or give the machine (or its container) more.'
        : 'End what takes it, or unload models.',
      command: small ? 'drover ps' : 'ps -eo rss,pid,comm --sort=-rss | head',
    },
  ]
}

function swapping({ swapUsedBytes, availableBytes, totalBytes, pressure = 0 }: MemoryLook): Finding[] {
  const isScarce = availableBytes < totalBytes * scarceMemory
  const isHeavy = swapUsedBytes > Math.max(gib, totalBytes * heavySwap) && isScarce
  if (!isHeavy && pressure < heavyPressure) return []
  const stalls =
    pressure < heavyPressure
      ? ''
      : ` For ${Math.round(pressure * 100)}% of the last minute everything stood still waiting for memory.`
  return [
    {
      code: 'swapping',
      level: 'warning',
      title: 'The machine swaps',
      detail: `${sizeText(swapUsedBytes)} lie in swap, ${sizeText(availableBytes)} of ${sizeText(totalBytes)} memory are left.${stalls} A model that is swapped out answers a hundred times slower.`,
      advice:
        'Take smaller models or a shorter context, or allow less memory to models (DROVER_MEMORY_LIMIT). See what takes the memory:',
      command: 'ps -eo rss,pid,comm --sort=-rss | head',
    },
  ]
}

function limitedMemory({ totalBytes, machineBytes }: MemoryLook): Finding[] {
  // A rounding of the kernel is no limit.
  if (totalBytes > machineBytes * 0.99) return []
  return [
    {
      code: 'memory_limit',
      level: 'note',
      title: `A limit leaves ${sizeText(totalBytes)} of the machine's ${sizeText(machineBytes)} to Drover`,
      detail: 'A control group (of a container or a service) sets it. Drover keeps to it.',
      advice: 'If it is not meant, raise --memory of the container, or MemoryMax= of the service.',
    },
  ]
}

export const processor: Check = (facts) => {
  const { host } = facts
  if (!host) return []
  const { cpu, arch, cpuQuota, governor } = host
  const onCpu = !gpusOf(facts).some(({ state }) => state === 'ok')
  const findings: Finding[] = []
  if (arch === 'x64' && cpu.instructionSets.length > 0 && !cpu.instructionSets.includes('avx2')) {
    findings.push({
      code: 'no_avx2',
      level: onCpu ? 'warning' : 'note',
      title: 'The CPU has no AVX2',
      detail: `${cpu.model} has ${listed(cpu.instructionSets)}. Engines compute several times slower without AVX2, and some builds do not start.`,
      advice:
        host.container === undefined
          ? 'In a virtual machine give the guest the CPU of its host (type "host"). On old hardware take small models.'
          : 'Where the host is a virtual machine, give it the CPU of its own host (type "host").',
    })
  }
  if (cpuQuota !== undefined && cpuQuota < cpu.cpus.length * 0.95) {
    findings.push({
      code: 'cpu_quota',
      level: onCpu ? 'warning' : 'note',
      title: `A limit grants ${Number(cpuQuota.toFixed(1))} of ${cpu.cpus.length} CPUs`,
      detail:
        'It counts time, not cores: engines start a thread for each core, and all of them are halted together when the time is used up.',
      advice: 'Better give the container cores than time.',
      command: `docker run --cpuset-cpus=0-${Math.max(0, Math.floor(cpuQuota) - 1)} ...`,
    })
  }
  if (onCpu && governor?.name === 'powersave' && !/pstate/.test(governor.driver)) {
    findings.push({
      code: 'slow_clock',
      level: 'warning',
      title: 'The CPU is kept at its lowest clock',
      detail: `The governor of ${governor.driver || 'its driver'} is "powersave".`,
      advice: 'Let it run faster under load.',
      command: 'echo schedutil | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor',
    })
  }
  const title = `CPU: ${cpu.model}, ${counted(cpu.physicalCores, 'core')}${setsText(cpu.instructionSets)}`
  return findings.length > 0 ? findings : [{ code: 'cpu_well', level: 'ok', title, detail: '' }]
}

const tellingSets: readonly [string, string][] = [
  ['amx_int8', 'AMX'],
  ['avx512f', 'AVX-512'],
  ['avx2', 'AVX2'],
  ['sve', 'SVE'],
  ['i8mm', 'I8MM'],
]

function setsText(sets: readonly string[]): string {
  const names = tellingSets.flatMap(([set, name]) => (sets.includes(set) ? [name] : []))
  return names.length > 0 ? ` with ${listed(names)}` : ''
}

/** A server with a queue of 512 requests, their sockets, and some engines: with room. */
const leastOpenFiles = 4096

export const limits: Check = ({ host }) => {
  const findings: Finding[] = []
  if (host?.openFiles !== undefined && host.openFiles < leastOpenFiles) {
    findings.push({
      code: 'few_open_files',
      level: 'warning',
      title: `A process may open ${host.openFiles} files and sockets only`,
      detail: 'Each request takes one or two; with many clients new ones are turned away.',
      advice:
        'Raise the hard limit (in /etc/security/limits.conf, --ulimit nofile= of a container, LimitNOFILE= of a service), then log in anew.',
      command: 'ulimit -Hn',
    })
  }
  if (host?.strictOvercommit) {
    findings.push({
      code: 'strict_overcommit',
      level: 'warning',
      title: 'The kernel promises no more memory than it has',
      detail:
        'vm.overcommit_memory is 2. Engines reserve far more address space than they use (CUDA as much as all memory together), and fail to start.',
      advice: 'Set it back to the usual 0.',
      command: 'sudo sysctl vm.overcommit_memory=0',
    })
  }
  return findings
}

export const windows: Check = (facts) => {
  const { host, drivers } = facts
  if (host?.wsl === undefined) return []
  if (host.wsl === 1) {
    return [
      {
        code: 'wsl1',
        level: 'warning',
        title: 'This is the first version of WSL, which has no GPU',
        detail: 'Models run on the CPU.',
        advice: 'Convert the distribution to version 2, in a console of Windows.',
        command: 'wsl --set-version <distribution> 2',
      },
    ]
  }
  const found: Finding[] = [
    {
      code: 'wsl',
      level: 'note',
      title: 'This is WSL: the GPU belongs to Windows',
      detail: `Its driver is the one of Windows; none may be installed within Linux. Of the memory WSL takes half, ${sizeText(host.memory.totalBytes)} here.`,
      advice:
        'To give it more, write memory=... under [wsl2] into .wslconfig in your Windows home, then run "wsl --shutdown".',
    },
  ]
  if (!drivers || drivers.hasDxg) return found
  return [
    {
      code: 'wsl_without_gpu',
      level: 'warning',
      title: 'WSL has no way to the GPU (/dev/dxg is missing)',
      detail: 'Models run on the CPU.',
      advice:
        'Update WSL and the GPU driver of Windows (WDDM 2.9 or newer), and see that nothing sets gpuSupport=false in .wslconfig.',
      command: 'wsl --update\nwsl --shutdown',
    },
    ...found,
  ]
}

/** What the kernel ended for want of memory within this time is still of interest. */
const recentMs = 86_400_000

/** Engines that the kernel has ended for want of memory. */
export const killed: Check = ({ kernel, nowMs }) => {
  const recent = (kernel?.killed ?? []).filter(({ atMs }) => atMs > nowMs - recentMs)
  // Of programs of Node only the kind is known: Drover is one, and others are.
  const last = recent.findLast(({ name }) => !isNode(name)) ?? recent.at(-1)
  if (!last) return []
  const what = isNode(last.name) ? 'a program of Node, which Drover is one of,' : last.name
  const often = recent.length > 1 ? `; ${recent.length} such within a day` : ''
  return [
    {
      code: 'killed_for_memory',
      level: isNode(last.name) ? 'note' : 'warning',
      title: `The kernel has ended ${what} for want of memory`,
      detail: `Process ${last.pid}, ${agoText((nowMs - last.atMs) / 1000)}${last.byLimit ? ', by the limit of its control group' : ''}${often}.`,
      advice: last.byLimit
        ? 'Raise the limit of the container or service, or set DROVER_MEMORY_LIMIT below it.'
        : 'Take smaller models or a shorter context, or allow less memory to models (DROVER_MEMORY_LIMIT).',
    },
  ]
}

function isNode(name: string): boolean {
  return /^(node|MainThread|node-MainThread)/.test(name)
}
