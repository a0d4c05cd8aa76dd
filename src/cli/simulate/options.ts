import type { WriteStream } from 'node:tty'
import { type Cluster, type RouterName, routerNames, type Trace } from '../../simulation/index.ts'

/** @throws Error that names what there is. */
export function chosenRouters(names: readonly string[]): RouterName[] {
  const all = routerNames.filter((name) => name !== 'omniscient')
  const chosen = names.flatMap((name): readonly RouterName[] => {
    if (name === 'all') return all
    const known = routerNames.find((one) => one === name.replaceAll('-', '_'))
    if (!known) throw new Error(`there is no policy "${name}"; there are ${routerNames.join(', ')}, and all`)
    return [known]
  })
  return [...new Set(chosen)]
}

/** What was simulated, for the head of a report. */
export function aboutLines(
  { name, format, requests }: Trace,
  { instances, failures, meanMsBetweenFailures }: Cluster,
  { seeds, sloTtft, sloItl }: { seeds: number; sloTtft: number; sloItl: number },
): string[] {
  const kinds = new Map<string, number>()
  for (const { kind } of instances) kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  const devices = [...kinds].map(([kind, count]) => `${count} x ${kind}`).join(', ')
  const lines = [
    `${name} (${format}, ${requests.length} requests) on ${devices}; mean of ${seeds} seed${seeds === 1 ? '' : 's'}`,
    `good: first token within ${sloTtft} ms and tokens within ${sloItl} ms on average`,
  ]
  if (failures.length > 0 || meanMsBetweenFailures > 0) {
    const random =
      meanMsBetweenFailures > 0 ? `, each every ${meanMsBetweenFailures / 1000} s on average` : ''
    lines.push(`instances die: ${failures.length} at known times${random}`)
  }
  return lines
}

/** `3 of 24 runs`, on a terminal only. */
export function progressOn(stream: WriteStream) {
  return {
    show: (done: number, all: number) => {
      if (stream.isTTY && all > 1) stream.write(`\r\u001b[Ksimulating ${done + 1} of ${all}`)
    },
    end: () => {
      if (stream.isTTY) stream.write('\r\u001b[K')
    },
  }
}
