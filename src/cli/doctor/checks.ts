import { cardStates, oldCards, partitions, persistence, presence } from './checks/cards.ts'
import { configuration } from './checks/configuration.ts'
import { engine } from './checks/engine.ts'
import { cardHealth, quarantined, slots, vanishedCards } from './checks/health.ts'
import { killed, limits, memory, processor, windows } from './checks/host.ts'
import { numa } from './checks/numa.ts'
import { nvidiaDriver } from './checks/nvidia-driver.ts'
import { permissions } from './checks/permissions.ts'
import { probeProblems } from './checks/problems.ts'
import { server, sharing } from './checks/server.ts'
import { folders, otherStores } from './checks/storage.ts'
import type { Check, DoctorFacts, Finding, Level } from './contract.ts'

/** In the order in which findings of one level are told: what others follow from comes first. */
const checks: readonly Check[] = [
  nvidiaDriver,
  probeProblems,
  permissions,
  presence,
  cardStates,
  vanishedCards,
  partitions,
  quarantined,
  cardHealth,
  engine,
  configuration,
  folders,
  server,
  sharing,
  windows,
  memory,
  killed,
  processor,
  limits,
  slots,
  numa,
  persistence,
  oldCards,
  otherStores,
]

const levels: readonly Level[] = ['error', 'warning', 'note', 'ok']

/** Everything that can be said of a machine, the worst first. Pure. */
export function diagnose(facts: DoctorFacts): Finding[] {
  const found = checks.flatMap((check) => check(facts))
  const told = new Set<string>()
  const fresh = found.filter((finding) => {
    const key = `${finding.code} ${finding.title}`
    return !told.has(key) && told.add(key)
  })
  return levels.flatMap((level) => fresh.filter((finding) => finding.level === level)).map(asUser(facts))
}

/** Root needs no sudo, which small containers lack. */
function asUser({ host }: DoctorFacts): (finding: Finding) => Finding {
  return (finding) => {
    const { command } = finding
    if (command === undefined || !host?.user.isRoot) return finding
    return { ...finding, command: command.replace(/\bsudo /g, '') }
  }
}

/** How many findings there are of each level. */
export function countLevels(findings: readonly Finding[]): Record<Level, number> {
  const count = (level: Level) => findings.filter((finding) => finding.level === level).length
  return { error: count('error'), warning: count('warning'), note: count('note'), ok: count('ok') }
}
