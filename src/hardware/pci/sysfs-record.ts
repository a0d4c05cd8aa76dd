import { z } from 'zod'
import type { SysfsFiles } from './path.ts'

const Recorded = z.object({
  files: z.record(z.string(), z.union([z.string(), z.object({ symlink: z.string() })])),
})

/** A chain of links longer than this is a ring. */
const maxLinks = 40

/**
 * A part of sysfs that was recorded as JSON: `{"files": {path: text | {"symlink": target}}}`, paths with or without
 * the leading slash. Undefined for any other text.
 */
export function recordedSysfs(text: string): SysfsFiles | undefined {
  const recorded = parse(text)
  if (recorded === undefined) return undefined
  const entries = new Map<string, string | { symlink: string }>(
    Object.entries(recorded.files).map(([path, entry]) => [`/${path.replace(/^\/+/, '')}`, entry] as const),
  )
  const folders = foldersOf(entries.keys())
  const resolve = (path: string) => resolveLinks(path, (at) => targetOf(entries.get(at)))
  return {
    readText(path) {
      const entry = entries.get(resolve(path) ?? '')
      return typeof entry === 'string' ? entry : undefined
    },
    list: (path) => [...(folders.get(resolve(path) ?? '') ?? [])].sort(),
    realPath(path) {
      const folder = resolve(path.slice(0, path.lastIndexOf('/')))
      const own = `${folder}/${path.slice(path.lastIndexOf('/') + 1)}`
      // A link's target need not be in the record: its name alone tells the driver.
      const isThere = targetOf(entries.get(own)) !== undefined || entries.has(own) || folders.has(own)
      return isThere ? resolve(own) : undefined
    },
  }
}

function parse(text: string): z.infer<typeof Recorded> | undefined {
  try {
    return Recorded.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

const targetOf = (entry: string | { symlink: string } | undefined) =>
  typeof entry === 'object' ? entry.symlink : undefined

/** Names in each folder. */
function foldersOf(paths: Iterable<string>): Map<string, Set<string>> {
  const folders = new Map<string, Set<string>>()
  for (const path of paths) {
    const parts = path.split('/')
    for (let end = parts.length - 1; end > 0; end -= 1) {
      const folder = parts.slice(0, end).join('/')
      const names = folders.get(folder) ?? new Set()
      names.add(parts[end] ?? '')
      folders.set(folder, names)
    }
  }
  return folders
}

/** The path with every link in it followed; undefined where the links form a ring. */
function resolveLinks(path: string, linkAt: (path: string) => string | undefined): string | undefined {
  const open = path.split('/').reverse()
  const done: string[] = []
  let links = 0
  for (let part = open.pop(); part !== undefined; part = open.pop()) {
    if (part === '' || part === '.') continue
    if (part === '..') {
      done.pop()
      continue
    }
    const target = linkAt(`/${[...done, part].join('/')}`)
    if (target === undefined) {
      done.push(part)
      continue
    }
    links += 1
    if (links > maxLinks) return undefined
    if (target.startsWith('/')) done.length = 0
    open.push(...target.split('/').reverse())
  }
  return `/${done.join('/')}`
}
