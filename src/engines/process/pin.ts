import { formatCpuList } from '../../core/index.ts'

/**
 * A command held to some cores from its first instruction on, by `taskset` of util-linux, which every Linux has. Other
 * systems cannot pin a process; there the command is as it was.
 */
export function pinned(command: readonly string[], cores: readonly number[] | undefined): string[] {
  if (cores === undefined || cores.length === 0 || process.platform !== 'linux') return [...command]
  return ['taskset', '-c', formatCpuList(cores), ...command]
}
