import { DroverError } from '../../inference/index.ts'

/** What joins two machines, each way. */
export interface Network {
  bytesPerS: number
  latencyS: number
}

/** What TCP gets of an Ethernet's bits. */
const ethernetShare = 0.94

const kinds: readonly {
  pattern: RegExp
  share: number
  latencyS: (gbits: number) => number
  usualGbits: number
}[] = [
  // A switch and two stacks; faster cards come with faster ones.
  {
    pattern: /^(\d+(?:\.\d+)?)?\s*(?:gbe|gbit|gbps|g|ethernet|lan)$/,
    share: ethernetShare,
    latencyS: (gbits) => (gbits < 5 ? 150e-6 : gbits < 25 ? 60e-6 : 30e-6),
    usualGbits: 1,
  },
  { pattern: /^(?:ib|infiniband)\s*(\d+)?(?:g|gbit)?$/, share: 0.97, latencyS: () => 5e-6, usualGbits: 200 },
  { pattern: /^(?:roce)\s*(\d+)?(?:g|gbe|gbit)?$/, share: 0.95, latencyS: () => 10e-6, usualGbits: 100 },
]

/** Of Thunderbolt's 40 or 80 Gbit/s its network takes about this much. */
const thunderbolt: Readonly<Record<string, number>> = { '3': 20, '4': 20, '5': 50 }

/**
 * A network by the name that people give it: `1gbe`, `10gbe`, `25g`, `infiniband`, `ib400`, `roce100`, `tb4`. Throws
 * `invalid_request`.
 */
export function parseNetwork(text: string): Network {
  const wanted = text.trim().toLowerCase()
  const [, version] = /^(?:tb|thunderbolt)\s*([345])?$/.exec(wanted) ?? []
  if (/^(?:tb|thunderbolt)/.test(wanted)) {
    const gbits = thunderbolt[version ?? '4']
    if (gbits !== undefined && /^(?:tb|thunderbolt)\s*[345]?$/.test(wanted))
      return networkOf(gbits, 1, 100e-6)
  }
  for (const { pattern, share, latencyS, usualGbits } of kinds) {
    const match = pattern.exec(wanted)
    if (!match) continue
    const gbits = match[1] === undefined ? usualGbits : Number(match[1])
    if (gbits > 0 && gbits <= 10_000) return networkOf(gbits, share, latencyS(gbits))
  }
  throw new DroverError(
    'invalid_request',
    `"${text}" is no network: write it as 1gbe, 10gbe, 100g, ib200, roce100 or tb4`,
  )
}

function networkOf(gbits: number, share: number, latencyS: number): Network {
  return { bytesPerS: Math.round((gbits * share * 1e9) / 8), latencyS }
}
