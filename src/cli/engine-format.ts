import type { ListedEngine } from './engine-probes.ts'
import { formatBytes, formatTable } from './format.ts'

/** The engines as a table, and below it what would make the missing ones usable. */
export function formatEngines(engines: readonly ListedEngine[]): string {
  const rows = engines.map(({ name, available, version = '', path = '', source }) => [
    name,
    available ? version : 'not here',
    source === undefined ? path : `${path} (${source})`,
  ])
  const notes = engines.flatMap(({ name, devices, reason }) => [
    ...(reason === undefined ? [] : [`${name}: ${reason}`]),
    ...(devices ?? []).map(
      (device) =>
        `${name}: ${device.name} ${device.description}, ${formatBytes(device.freeBytes)} of ${formatBytes(device.totalBytes)} free`,
    ),
  ])
  const table = formatTable(['NAME', 'VERSION', 'PATH'], rows)
  return notes.length === 0 ? table : `${table}\n${notes.join('\n')}\n`
}
