import type { HealthReason } from '../../../hardware/index.ts'
import type { Check, DoctorFacts, Finding, Level } from '../contract.ts'
import { cardsOf, gpusOf, isSameCard, nameOf, namesOf, sentence, withHours } from '../naming.ts'
import { smiName } from './cards.ts'

type Card = DoctorFacts['devices'][number]

const titles: Readonly<Record<string, (name: string) => string>> = {
  hot: (name) => `${name} is hot`,
  throttled: (name) => `${name} slows itself down`,
  fan_stopped: (name) => `The fan of ${name} stands still`,
  slow_link: (name) => `${name} has a slower PCIe link than it could have`,
  ecc_uncorrected: (name) => `The memory of ${name} makes errors`,
  ecc_corrected: (name) => `The memory of ${name} makes errors, which are corrected`,
  remap_failed: (name) => `The memory of ${name} is broken`,
  remap_pending: (name) => `${name} wants a reset to repair its memory`,
  rows_retired: (name) => `The memory of ${name} wears out`,
  xid: (name) => `The driver reports an error of ${name}`,
  driver: (name) => `The driver could not start ${name}`,
  driver_reset: (name) => `The driver had to reset ${name}`,
  fallen_off_bus: (name) => `${name} fell off the bus`,
  unanswered: (name) => `The sensors of ${name} do not answer`,
}

/** What sensors, error counters and the kernel's log say of each card. */
export const cardHealth: Check = (facts) =>
  facts.devices
    .filter(({ state }) => state !== 'hidden' && state !== 'excluded')
    .flatMap((card) => ownReasons(card).map((reason) => reasonFinding(facts, card, reason)))

/** Without what the state of the card tells already; that it was lost is told by several lines of the kernel. */
function ownReasons({ state, health }: Card): HealthReason[] {
  const reasons = health.reasons.filter(({ code }) => code !== 'lost' && code !== 'error')
  const [firstLost, ...otherLost] = reasons.filter((reason) => reason.state === 'lost')
  return reasons.filter(
    (reason) => !otherLost.includes(reason) && !(state === 'lost' && reason === firstLost),
  )
}

function reasonFinding(facts: DoctorFacts, card: Card, reason: HealthReason): Finding {
  const { code, text, advice } = reason
  const title = titles[code]?.(nameOf(facts, card)) ?? `${nameOf(facts, card)} is not well (${code})`
  const command = commandOf(card, code)
  return {
    code,
    level: levelOf(card, reason),
    title,
    detail: sentence(withHours(text)),
    advice: sentence(advice ?? 'see `drover gpus --watch` and the log of the kernel'),
    device: card.id,
    ...(command !== undefined && { command }),
  }
}

/** So few lanes make loading a model slow, and splitting one over cards slower still. */
const fewLanes = 4

function levelOf(card: Card, { code, state }: HealthReason): Level {
  const { width = 0 } = { ...card.pcie, ...card.sensors?.pcie }
  // Boards that share lanes between two slots, and many laptops, give half of them by design.
  if (code === 'slow_link' && width > fewLanes && width < 16) return 'note'
  if (state === 'degraded') return 'warning'
  // A card that was gone and answers again has a past, not a fault of now.
  return state === 'lost' && card.state === 'ok' ? 'warning' : 'error'
}

function commandOf(card: Card, code: string): string | undefined {
  if (card.vendor !== 'nvidia') return undefined
  const which = smiName(card)
  if (['ecc_uncorrected', 'remap_pending'].includes(code)) return `sudo nvidia-smi --gpu-reset -i ${which}`
  if (['hot', 'throttled'].includes(code)) return `nvidia-smi -q -i ${which} -d TEMPERATURE,POWER,PERFORMANCE`
  return ['xid', 'fallen_off_bus', 'driver'].includes(code) ? "sudo dmesg | grep -E 'NVRM|Xid'" : undefined
}

/** Slots that give a card less than it was built for; what card and slot could do together is told by its health. */
export const slots: Check = (facts) => [...narrowSlots(facts), ...oldSlots(facts)]

function narrowSlots(facts: DoctorFacts): Finding[] {
  return cardsOf(facts).flatMap((card): Finding[] => {
    const { width = 0, maxWidth = width } = { ...card.pcie, ...card.sensors?.pcie }
    const built = card.facts.pcie?.width ?? 0
    const isNarrow = width > 0 && width <= fewLanes && built > fewLanes && maxWidth <= width
    if (!isNarrow || card.kind === 'integrated') return []
    return [
      {
        code: 'narrow_slot',
        level: 'warning',
        title: `${nameOf(facts, card)} is in a slot of ${width} lanes`,
        detail: `It was built for ${built}. Models load slower, and a model that is split over several cards runs slower; one that lies on this card alone runs as fast as ever.`,
        advice:
          "Put it into a slot of 16 or 8 lanes; the board's manual tells which are wired so, and which share their lanes with an M.2 slot.",
        device: card.id,
      },
    ]
  })
}

/** Newer ones are fast enough for whatever goes to a card. */
const slowGeneration = 3

function oldSlots(facts: DoctorFacts): Finding[] {
  const behind = cardsOf(facts).filter((card) => {
    const most = card.pcie?.maxGeneration ?? card.sensors?.pcie?.maxGeneration
    const built = card.facts.pcie?.generation
    if (most === undefined || built === undefined || card.kind === 'integrated') return false
    return most < built && most <= slowGeneration
  })
  const [first] = behind
  if (!first) return []
  const most = first.pcie?.maxGeneration ?? first.sensors?.pcie?.maxGeneration
  return [
    {
      code: 'old_slot',
      level: 'note',
      title: `The slot of ${namesOf(facts, behind)} is of an older PCIe generation than the card`,
      detail: `It gives generation ${most}, the card could do ${first.facts.pcie?.generation}: half the speed for each step. It matters when models are loaded or split over cards.`,
      advice:
        'If board and processor can do more, look for the link speed of the slot in the BIOS, and do without a riser.',
    },
  ]
}

/** Cards that the kernel speaks of and that are no longer to be found. */
export const vanishedCards: Check = (facts) => {
  const gone = (facts.kernel?.events ?? []).filter(
    ({ kind, code, pciAddress }) =>
      (kind === 'fallen_off_bus' || code === 79) &&
      pciAddress !== undefined &&
      !facts.devices.some((device) => isSameCard(device.pciAddress, pciAddress)),
  )
  return [...Map.groupBy(gone, ({ pciAddress }) => pciAddress ?? '')].map(([address, events]) => ({
    code: 'card_vanished',
    level: 'error',
    title: `The card at ${address} fell off the bus, and is gone`,
    detail: `The kernel said: ${events.at(-1)?.text}`,
    advice:
      'Reboot. If it comes again, check its power cables, riser and seat, and whether the power supply is strong enough for all cards under load.',
    command: "sudo dmesg | grep -E 'NVRM|Xid|fallen off'",
  }))
}

/** Devices that a running Drover has taken out of use. */
export const quarantined: Check = (facts) =>
  gpusOf(facts)
    .filter(
      ({ state, used, unusedReason }) =>
        state === 'ok' &&
        !used &&
        unusedReason !== undefined &&
        !/configuration|partitions/.test(unusedReason),
    )
    .map((card) => ({
      code: 'quarantined',
      level: 'warning',
      title: `Drover has taken ${nameOf(facts, card)} out of use`,
      detail: sentence(card.unusedReason ?? ''),
      advice:
        'It is tried again by itself, and used when it answers. If it stays out, the log of `drover serve` has the story.',
      device: card.id,
    }))
