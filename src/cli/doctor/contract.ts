/**
 * What `drover doctor` sees and what it says. Facts are gathered once; every check is a pure function from facts to
 * findings. A fact that could not be had is absent, and no check concludes anything from its absence.
 */

import type { DeviceReport, DeviceStatus } from '../../api/index.ts'
import type { Config } from '../../config/index.ts'
import type { CpuFacts, DeviceEvent } from '../../hardware/index.ts'
import type { ListedEngine } from '../engine-probes.ts'

/** `error`: something does not work; `warning`: it works worse than it could, or soon will not; `note`: good to know. */
export type Level = 'ok' | 'note' | 'warning' | 'error'

export interface Finding {
  /** For programs and tests: `nvidia_library_mismatch`. */
  code: string
  level: Level
  /** In a line, for people. */
  title: string
  /** What is seen, with its values; may be empty. */
  detail: string
  /** What to do; every warning and error has it. */
  advice?: string
  /** What to type for it, one command a line. */
  command?: string
  /** The id of the device that it is about. */
  device?: string
}

export type Check = (facts: DoctorFacts) => Finding[]

export interface DoctorFacts {
  /** When they were gathered. */
  nowMs: number
  /** GPUs, their partitions and the CPU, with their health. */
  devices: readonly DeviceStatus[]
  /** What the probes could not do. */
  problems: readonly string[]
  /** Files that were read in place of this machine: then all that follows is absent. */
  recorded?: readonly string[]
  host?: HostLook
  drivers?: DriverLook
  kernel?: KernelLook
  config?: ConfigLook
  engines?: EngineLook
  folders?: readonly FolderLook[]
  /** Stores of Ollama's service that have models, where Drover's own store has none. */
  otherStores?: readonly string[]
  server?: ServerLook
  /** Servers of Ollama that run on this machine. */
  ollamas?: readonly OllamaProcess[]
  /** Parts of the machine that did not answer in time. */
  late: readonly string[]
}

export interface HostLook {
  platform: NodeJS.Platform
  arch: string
  /** `ID` and `ID_LIKE` of /etc/os-release: `ubuntu debian`. */
  distribution: string
  /** Windows' subsystem for Linux, and its version. */
  wsl?: 1 | 2
  /** `Docker`, `Podman`, ...: this process runs within one. */
  container?: string
  user: UserLook
  /** Variables that hide devices, as far as they are set. */
  visibility: Readonly<Record<string, string>>
  memory: MemoryLook
  cpu: CpuFacts
  /** CPUs' worth of time that the control group grants; absent: all. */
  cpuQuota?: number
  /** How the kernel picks clocks: `powersave` by `intel_pstate`. */
  governor?: { name: string; driver: string }
  /** Files and sockets that a process may have open. */
  openFiles?: number
  /** The kernel grants no more memory than it has (vm.overcommit_memory = 2). */
  strictOvercommit: boolean
  /** The kernel moves memory between nodes by itself. */
  numaBalancing: boolean
}

export interface UserLook {
  name: string
  isRoot: boolean
  /** Groups of this process. */
  groups: readonly string[]
  /** Groups that the user is entered in; one that `groups` lacks comes with the next login. */
  enteredIn: readonly string[]
}

export interface MemoryLook {
  /** What this process may use of the machine's. */
  totalBytes: number
  availableBytes: number
  /** The machine's own; more than `totalBytes` under a limit of a control group. */
  machineBytes: number
  swapTotalBytes: number
  swapUsedBytes: number
  /** Share of the last minute in which everything stood still waiting for memory, 0 to 1. */
  pressure?: number
}

export interface DriverLook {
  /** Device files that GPUs are used by: /dev/nvidia*, /dev/kfd, /dev/dri/renderD*. */
  files: readonly DeviceFile[]
  /** The version of NVIDIA's kernel module that is loaded. */
  nvidiaModule?: string
  /** The machine starts only what is signed. */
  secureBoot?: boolean
  /** Windows' way to the GPU is there (/dev/dxg). */
  hasDxg: boolean
}

export interface DeviceFile {
  path: string
  mayUse: boolean
  /** The name of its group, or its number where it has no name here. */
  group: string
  /** Members of the group may use it. */
  groupMayUse: boolean
}

export interface KernelLook {
  /** Since the start of the machine. */
  events: readonly DeviceEvent[]
  /** Engines and servers that the kernel ended for want of memory. */
  killed: readonly { name: string; pid: number; atMs: number; byLimit: boolean }[]
}

export type ConfigLook =
  | { config: Config; warnings: readonly string[]; file?: string; error?: undefined }
  | { error: string }

export interface EngineLook {
  listed: readonly ListedEngine[]
  /** Every `llama-server` of PATH and Drover's folder, in the order of search. */
  servers: readonly string[]
  /** The program of Ollama, where there is one. */
  ollamaProgram?: string
  /** Servers that the configuration names as devices, and whether they answer. */
  attached: readonly { url: string; answers: boolean }[]
}

export interface FolderLook {
  use: 'models' | 'home' | 'temporary'
  path: string
  /** The folder itself, or the nearest above it that exists. */
  at: string
  owner: string
  /** Why it cannot be read and written: EACCES, EROFS, ENOTDIR, ... */
  refusal?: string
  freeBytes?: number
  totalBytes?: number
}

export interface ServerLook {
  url: string
  /** It is an address of this machine. */
  isLocal: boolean
  /** `free`: nothing listens; `silent`: something does, and gives no answer. */
  state: 'free' | 'drover' | 'ollama' | 'other' | 'silent'
  version?: string
  /** Of Drover. */
  report?: DeviceReport
}

export interface OllamaProcess {
  pid: number
  command: string
  /** The command line of the process that started it. */
  parent: string
}
