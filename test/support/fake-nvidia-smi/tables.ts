import { type FakeCard, goneLine, model } from './cards.ts'

/** `nvidia-smi -L`. */
export function listText(cards: readonly FakeCard[]): string {
  return lines(
    cards.map((card) =>
      card.gone === undefined ? `GPU ${card.index}: ${model.name} (UUID: ${card.uuid})` : goneLine(card),
    ),
  )
}

/** `nvidia-smi nvlink -s`: two cards each are bridged. */
export function nvlinkText(cards: readonly FakeCard[]): string {
  return lines(
    cards.flatMap((card) => {
      if (card.gone !== undefined) return [goneLine(card)]
      const partnerGone = cards[card.index ^ 1]?.gone !== undefined
      const links = Array.from({ length: model.bridgeLinks }, (_, link) =>
        partnerGone ? `\t Link ${link}: <inactive>` : `\t Link ${link}: 14.062 GB/s`,
      )
      return [`GPU ${card.index}: ${model.name} (UUID: ${card.uuid})`, ...links]
    }),
  )
}

/** `nvidia-smi topo -m`: two sockets with four cards each, bridged in pairs. A card that is gone has no row. */
export function topologyText(cards: readonly FakeCard[]): string {
  const present = cards.filter(({ gone }) => gone === undefined)
  const name = ({ index }: FakeCard) => `GPU${index}`
  const header = ['', ...present.map(name), 'CPU Affinity', 'NUMA Affinity', 'GPU NUMA ID']
  const rows = present.map((a) => {
    const node = socket(a)
    const cores = node === 0 ? '0-31,64-95' : '32-63,96-127'
    return [name(a), ...present.map((b) => linkLabel(a, b)), cores, `${node}`, '', 'N/A']
  })
  return lines([...[header, ...rows].map((row) => row.join('\t')), ...legend])
}

function socket({ index }: FakeCard): number {
  return Math.floor(index / 4)
}

function linkLabel(a: FakeCard, b: FakeCard): string {
  if (a.index === b.index) return ' X '
  if ((a.index ^ 1) === b.index) return `NV${model.bridgeLinks}`
  return socket(a) === socket(b) ? 'NODE' : 'SYS'
}

const legend = [
  '',
  'Legend:',
  '',
  '  X    = Self',
  '  SYS  = between NUMA nodes',
  '  NODE = between host bridges of a NUMA node',
  '  PHB  = through a host bridge',
  '  PXB  = through several bridges',
  '  PIX  = through one bridge',
  '  NV#  = a bonded set of # NVLinks',
]

function lines(all: readonly string[]): string {
  return `${all.join('\n')}\n`
}
