import type { HostSystem, ProgramResult } from '../../contract.ts'
import { recordedSysfs } from '../../pci/sysfs-record.ts'

/** A machine of records: files by path (links as objects), what programs print by their command line. */
export interface Record {
  files?: { readonly [path: string]: string | { symlink: string } }
  programs?: { readonly [command: string]: string | ProgramResult }
  /** Device files; all that are there may be used where none is named. */
  usable?: { readonly [path: string]: boolean }
}

/** The machine as the probe sees it, and the command lines that were run on it. */
export function replay({ files = {}, programs = {}, usable }: Record): HostSystem & { commands: string[] } {
  const recorded = recordedSysfs(JSON.stringify({ files }))
  if (!recorded) throw new Error('the record is not of the form {path: text | {symlink}}')
  const commands: string[] = []
  return {
    ...recorded,
    platform: 'linux',
    env: {},
    commands,
    mayUse: (path) => (usable ? usable[path] : true),
    run(program, args) {
      const command = [program, ...args].join(' ')
      commands.push(command)
      const answer = programs[command]
      if (answer === undefined) return Promise.resolve({ outcome: 'missing', stdout: '', stderr: '' })
      if (typeof answer !== 'string') return Promise.resolve(answer)
      return Promise.resolve({ outcome: 'ok', stdout: answer, stderr: '', exitCode: 0 })
    },
  }
}
