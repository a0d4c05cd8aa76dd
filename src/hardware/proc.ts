/** Bytes of a line of `/proc/meminfo` (`man 5 proc_meminfo`: kibibytes); undefined where there is no such line. */
export function parseMeminfo(text: string, key: 'MemTotal' | 'MemAvailable'): number | undefined {
  const [, kibibytes] = new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(text) ?? []
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024
}

/**
 * Distinct cores in the text of `/proc/cpuinfo`: pairs of `physical id` and `core id`. Undefined where the kernel
 * does not tell them (ARM, some virtual machines); there every logical core is one of its own.
 */
export function parsePhysicalCores(text: string): number | undefined {
  const cores = new Set<string>()
  for (const block of text.split(/\n\s*\n/)) {
    const [, socket] = /^physical id\s*:\s*(\d+)/m.exec(block) ?? []
    const [, core] = /^core id\s*:\s*(\d+)/m.exec(block) ?? []
    if (core !== undefined) cores.add(`${socket ?? 0}:${core}`)
  }
  return cores.size > 0 ? cores.size : undefined
}

/**
 * Bytes that macOS could hand out without swapping, from the output of `vm_stat`: free, inactive, speculative and
 * purgeable pages. Undefined where the text is not understood.
 */
export function parseVmStat(text: string): number | undefined {
  const [, pageSize] = /page size of (\d+) bytes/.exec(text) ?? []
  const pages = ['free', 'inactive', 'speculative', 'purgeable'].map((kind) => {
    const [, count] = new RegExp(`^Pages ${kind}:\\s+(\\d+)\\.?$`, 'm').exec(text) ?? []
    return count === undefined ? undefined : Number(count)
  })
  if (pageSize === undefined || pages[0] === undefined) return undefined
  return pages.reduce<number>((sum, count) => sum + (count ?? 0), 0) * Number(pageSize)
}
