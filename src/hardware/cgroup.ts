import { readFileSync } from 'node:fs'
import { posix } from 'node:path'

/** Memory limit and use of one control group, in bytes. */
export interface CgroupMemory {
  limitBytes: number
  /** Used and not given back under pressure: page cache that can be dropped is not counted. */
  usedBytes: number
}

/** File names of memory accounting in the two versions of cgroups. */
const layouts = {
  v1: { limit: 'memory.limit_in_bytes', usage: 'memory.usage_in_bytes', reclaimable: 'total_inactive_file' },
  v2: { limit: 'memory.max', usage: 'memory.current', reclaimable: 'inactive_file' },
} as const

export type CgroupVersion = keyof typeof layouts

/** A folder of the cgroup file system that accounts for this process's memory. */
export interface CgroupFolder {
  version: CgroupVersion
  path: string
}

/** Version 1 writes "no limit" as the largest page-aligned 63-bit number; anything near it means none. */
const unlimitedBytes = 2 ** 60

/**
 * The folders that limit this process's memory, innermost first, from the text of `/proc/self/cgroup`
 * (`man 7 cgroups`). A hybrid system lists both versions; the root folders are always included, because inside a
 * container the listed path is often not visible and the root is the container's own group.
 */
export function cgroupFolders(procSelfCgroup: string, mount = '/sys/fs/cgroup'): CgroupFolder[] {
  return procSelfCgroup.split('\n').flatMap((line): CgroupFolder[] => {
    const [, hierarchy, controllers, path] = /^(\d+):([^:]*):(\/.*)$/.exec(line.trim()) ?? []
    if (path === undefined) return []
    if (controllers?.split(',').includes('memory'))
      return withAncestors('v1', posix.join(mount, 'memory'), path)
    if (hierarchy === '0' && controllers === '') return withAncestors('v2', mount, path)
    return []
  })
}

function withAncestors(version: CgroupVersion, root: string, path: string): CgroupFolder[] {
  const folders: CgroupFolder[] = []
  for (let at = posix.normalize(path); at !== '/'; at = posix.dirname(at)) {
    // Seen from within a namespace the path may climb out of it; such folders cannot be read.
    if (!at.startsWith('/..')) folders.push({ version, path: posix.join(root, at) })
  }
  folders.push({ version, path: root })
  return folders
}

/**
 * Limit and use from the texts of a group's files; undefined where there is no limit or the texts are not
 * understood.
 */
export function parseCgroupMemory(
  version: CgroupVersion,
  texts: { limit: string; usage: string; stat: string },
): CgroupMemory | undefined {
  // `max` becomes NaN.
  const limitBytes = Number(texts.limit.trim() || Number.NaN)
  const usageBytes = Number(texts.usage.trim() || Number.NaN)
  if (!(limitBytes >= 0 && limitBytes < unlimitedBytes) || !(usageBytes >= 0)) return undefined
  const { reclaimable } = layouts[version]
  const line = texts.stat.split('\n').find((text) => text.startsWith(`${reclaimable} `))
  const reclaimableBytes = Number(line?.slice(reclaimable.length) ?? 0) || 0
  return { limitBytes, usedBytes: Math.max(0, usageBytes - reclaimableBytes) }
}

/** Reads a group's memory; undefined where it has no limit or cannot be read. */
export function readCgroupMemory({ version, path }: CgroupFolder): CgroupMemory | undefined {
  const { limit, usage } = layouts[version]
  const limitText = readText(posix.join(path, limit))
  if (limitText === undefined || limitText.startsWith('max')) return undefined
  return parseCgroupMemory(version, {
    limit: limitText,
    usage: readText(posix.join(path, usage)) ?? '',
    stat: readText(posix.join(path, 'memory.stat')) ?? '',
  })
}

/** A kernel file's text; undefined where it does not exist or may not be read, which is normal for these. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}
