import type { HostSystem, ProgramResult } from '../contract.ts'
import { recordedSysfs } from '../pci/sysfs-record.ts'

export type Files = Record<string, string | { symlink: string }>

/** A machine for tests: files that may change between looks, answers of programs by command line, open device files. */
export interface Machine {
  system: HostSystem
  files: Files
  /** Command lines that were run. */
  runs: string[]
  /** Paths that were read. */
  reads: string[]
}

export interface MachineOptions {
  files?: Files
  /** By command line: what is printed, or the whole result; a program of which nothing is here is missing. */
  answers?: Record<string, string | ProgramResult>
  /** By path: whether it may be opened; others are not there. */
  devices?: Record<string, boolean>
  env?: Record<string, string>
  platform?: NodeJS.Platform
}

export function machine({
  files = {},
  answers = {},
  devices = {},
  env = {},
  platform = 'linux',
}: MachineOptions): Machine {
  const runs: string[] = []
  const reads: string[] = []
  const view = () => {
    const read = recordedSysfs(JSON.stringify({ files }))
    if (read === undefined) throw new Error('the sample is no record')
    return read
  }
  const system: HostSystem = {
    platform,
    env,
    run(program, args) {
      const line = [program, ...args].join(' ')
      runs.push(line)
      return Promise.resolve(answerTo(line, program, answers))
    },
    readText(path) {
      reads.push(path)
      return view().readText(path)
    },
    list: (path) => view().list(path),
    realPath: (path) => view().realPath(path),
    mayUse: (path) => devices[path],
  }
  return { system, files, runs, reads }
}

function answerTo(
  line: string,
  program: string,
  answers: Record<string, string | ProgramResult>,
): ProgramResult {
  const answer = answers[line]
  if (typeof answer === 'string') return { outcome: 'ok', stdout: answer, stderr: '', exitCode: 0 }
  if (answer !== undefined) return answer
  const isHere = Object.keys(answers).some((known) => known.startsWith(`${program} `))
  return isHere
    ? { outcome: 'failed', stdout: '', stderr: 'unknown argument', exitCode: 109 }
    : { outcome: 'missing', stdout: '', stderr: '' }
}

export interface CardOptions {
  number: number
  /** Folders below `/sys/devices`, from the root port down to the card. */
  path: string
  driver: 'i915' | 'xe'
  deviceId: string
  /** Files below the card's folder in `/sys/class/drm`, as `device/tile0/…` or `gt/gt0/…`. */
  values?: Record<string, string>
}

/** A card as the kernel shows it: its PCI folder, and the folder in `/sys/class/drm` that leads there. */
export function drmCard({ number, path, driver, deviceId, values = {} }: CardOptions): Files {
  const address = path.split('/').at(-1) ?? ''
  const device = `/sys/devices/${path}`
  const folder = `/sys/class/drm/card${number}`
  const uevent = `DRIVER=${driver}\nPCI_CLASS=30000\nPCI_ID=8086:${deviceId.toUpperCase()}\nPCI_SLOT_NAME=${address}\n`
  const files: Files = {
    [`${folder}/device`]: { symlink: device },
    [`/sys/bus/pci/devices/${address}`]: { symlink: device },
    [`${device}/uevent`]: uevent,
    [`${device}/vendor`]: '0x8086\n',
    [`${device}/device`]: `0x${deviceId}\n`,
    [`${device}/drm/card${number}/dev`]: '226:0\n',
    [`${device}/drm/renderD${128 + number}/dev`]: '226:128\n',
  }
  for (const [name, value] of Object.entries(values)) {
    files[name.startsWith('device/') ? `${device}/${name.slice(7)}` : `${folder}/${name}`] = `${value}\n`
  }
  return files
}

/** A bridge with its vendor and link. */
export function bridge(path: string, vendor: string, link: readonly [string, string, string, string]): Files {
  const address = path.split('/').at(-1) ?? ''
  const folder = `/sys/devices/${path}`
  const names = ['current_link_speed', 'current_link_width', 'max_link_speed', 'max_link_width']
  return {
    [`/sys/bus/pci/devices/${address}`]: { symlink: folder },
    [`${folder}/vendor`]: `${vendor}\n`,
    ...Object.fromEntries(names.map((name, at) => [`${folder}/${name}`, `${link[at]}\n`])),
  }
}

/** The figures that an Arc card gives for the link inside of itself. */
export const insideLink = {
  'device/current_link_speed': '2.5 GT/s PCIe',
  'device/current_link_width': '1',
  'device/max_link_speed': '2.5 GT/s PCIe',
  'device/max_link_width': '1',
}
