import type { Check, DoctorFacts, Finding, HostLook } from '../contract.ts'
import { cardsOf, gpusOf, namesOf } from '../naming.ts'

/** What lies on the wrong side of a machine with several memories. */
export const numa: Check = (facts) => {
  const { host } = facts
  if (!host) return []
  return [...farCards(facts, host), ...spreadCards(facts), ...cpuNodes(facts, host)]
}

/** The cores that this process is held to are all beside another memory than the card. */
function farCards(facts: DoctorFacts, { cpu }: HostLook): Finding[] {
  // Nodes without a core for this process are not among these.
  const nodes = cpu.numaNodes.map(({ id }) => id)
  const far = cardsOf(facts).filter(
    ({ numaNode, state }) => state === 'ok' && numaNode !== undefined && !nodes.includes(numaNode),
  )
  const [first] = far
  if (!first) return []
  return [
    {
      code: 'card_on_other_node',
      level: 'warning',
      title: `Drover may use no core beside ${namesOf(facts, far)}`,
      detail: `Its cores are of NUMA node ${nodes.join(', ')}, the card hangs on node ${first.numaNode}: all that goes to the card crosses the bridge between the processors.`,
      advice:
        'Give Drover cores of that node too (--cpuset-cpus of a container, CPUAffinity= of a service, taskset).',
      command: `cat /sys/devices/system/node/node${first.numaNode}/cpulist`,
    },
  ]
}

function spreadCards(facts: DoctorFacts): Finding[] {
  const byNode = Map.groupBy(
    cardsOf(facts).filter(
      ({ numaNode, state, kind }) => numaNode !== undefined && state === 'ok' && kind === 'discrete',
    ),
    ({ numaNode }) => numaNode ?? 0,
  )
  if (byNode.size < 2) return []
  const parts = [...byNode]
    .sort(([a], [b]) => a - b)
    .map(([node, cards]) => `${namesOf(facts, cards)} on node ${node}`)
  return [
    {
      code: 'cards_on_several_nodes',
      level: 'note',
      title: `The GPUs hang on ${byNode.size} NUMA nodes`,
      detail: `${parts.join('; ')}. A model that is split over cards runs faster where they are of one node, or bridged.`,
      advice: '`drover topology` shows the links; pin models that are split to cards of one node.',
    },
  ]
}

/** Of interest where the CPU computes. */
function cpuNodes(facts: DoctorFacts, { cpu, numaBalancing, platform }: HostLook): Finding[] {
  const onCpu = !gpusOf(facts).some(({ state }) => state === 'ok')
  if (!onCpu || cpu.numaNodes.length < 2 || platform !== 'linux') return []
  const devices =
    facts.config?.error === undefined && facts.config?.config.devices === undefined
      ? [
          {
            code: 'cpu_nodes_as_one',
            level: 'note' as const,
            title: `The CPU has ${cpu.numaNodes.length} memories, and is one device`,
            detail: 'An engine that computes over all of them waits for the farther ones.',
            advice: 'Make each a device of its own: each runs models on its own cores and memory.',
            command: 'DROVER_DEVICES=numa drover serve',
          },
        ]
      : []
  if (!numaBalancing) return devices
  return [
    ...devices,
    {
      code: 'numa_balancing',
      level: 'note',
      title: 'The kernel moves memory between NUMA nodes',
      detail: 'While an engine computes it moves the weights about, which slows it.',
      advice: 'Turn it off on a machine that mostly runs models.',
      command: 'sudo sysctl kernel.numa_balancing=0',
    },
  ]
}
