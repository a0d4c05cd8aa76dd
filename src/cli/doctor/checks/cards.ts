import type { Check, DoctorFacts, Finding } from '../contract.ts'
import { cardsOf, counted, gpusOf, nameOf, namesOf, sentence, sizeText, withHours } from '../naming.ts'
import { boundDriver, nvidiaFinding } from './nvidia-driver.ts'
import { permissions } from './permissions.ts'

type Card = DoctorFacts['devices'][number]

/** How `nvidia-smi -i` is told which card. */
export const smiName = ({ index, pciAddress }: Card) => String(index ?? pciAddress ?? 0)

/** Whether there are GPUs at all. */
export const presence: Check = (facts) => {
  const gpus = gpusOf(facts)
  if (gpus.length > 0) return wellCards(facts, gpus)
  if (facts.recorded || facts.problems.length > 0 || facts.late.length > 0) return []
  const wsl = facts.host?.wsl
  const look = wsl
    ? 'If Windows has one, install its newest driver there (none within Linux), then run "wsl --update" and "wsl --shutdown".'
    : facts.host?.container === undefined
      ? "If it has one, see whether the command lists it. If so, install its maker's driver; if not, check its seat, its power and the BIOS."
      : 'If the host has one, start the container with it: --gpus all for NVIDIA, --device /dev/kfd --device /dev/dri for AMD, --device /dev/dri for Intel.'
  return [
    {
      code: 'no_gpu',
      level: 'note',
      title: 'There is no GPU in this machine, as far as Drover can see',
      detail: 'Models run on the CPU: small ones well, large ones slowly.',
      advice: look,
      ...(facts.host?.platform === 'linux' &&
        wsl === undefined &&
        facts.host.container === undefined && { command: "lspci | grep -iE 'vga|3d|display|accelerator'" }),
    },
  ]
}

function wellCards(facts: DoctorFacts, gpus: readonly Card[]): Finding[] {
  const well = gpus.filter(({ state, health }) => state === 'ok' && health.state === 'healthy')
  const kinds = Map.groupBy(well, ({ name, memoryTotalBytes }) => `${name}, ${sizeText(memoryTotalBytes)}`)
  return [...kinds].map(([kind, same]) => ({
    code: 'card_well',
    level: 'ok',
    title:
      same.length === 1
        ? `${namesOf(facts, same)} is well: ${sizeText(same[0]?.memoryTotalBytes ?? 0)}`
        : `${counted(same.length, 'GPU')} are well: ${kind} each`,
    detail: '',
  }))
}

/** Cards that cannot be used, and why. */
export const cardStates: Check = (facts) => [
  ...gpusOf(facts).flatMap((card) => stateFinding(facts, card)),
  ...hiddenCards(facts),
]

function stateFinding(facts: DoctorFacts, card: Card): Finding[] {
  const { state, stateReason = '', id: device, vendor } = card
  const name = nameOf(facts, card)
  switch (state) {
    case 'lost':
      return [
        {
          code: 'card_lost',
          level: 'error',
          title: `${name} is lost`,
          detail: lostText(card),
          advice:
            'Reset it, or reboot. If it comes again, check its power cables, riser and seat, and whether it got too hot.',
          device,
          ...(vendor === 'nvidia' && {
            command: `sudo nvidia-smi --gpu-reset -i ${smiName(card)}\nsudo dmesg | grep -E 'NVRM|Xid'`,
          }),
        },
      ]
    case 'error':
      return errorFinding(facts, card, name)
    case 'no_permission': {
      // Where the file is known, so is the group to join.
      if (permissions(facts).length > 0 || vendorTold(facts, card)) return []
      const contained = facts.host?.container !== undefined && /missing|not here/.test(stateReason)
      return [
        {
          code: contained ? 'container_without_gpu' : 'no_permission',
          level: card.kind === 'integrated' ? 'note' : 'error',
          title: contained
            ? `The ${facts.host?.container} container has not been given ${name}`
            : `This user may not use ${name}`,
          detail: stateReason,
          advice: 'Do what is said there, then run `drover doctor` again.',
          device,
          ...(contained && {
            command: `docker run ${vendor === 'amd' ? '--device /dev/kfd ' : ''}--device /dev/dri ...`,
          }),
        },
      ]
    }
    case 'excluded':
      return [
        {
          code: 'card_excluded',
          level: 'note',
          title: `${name} is left out by its driver`,
          detail: stateReason,
          advice: "Take it out of the driver module's option that excludes it, to use it.",
          device,
        },
      ]
    default:
      return []
  }
}

/** In the words of the tool, and of the kernel where it said something. */
function lostText({ stateReason, health }: Card): string {
  const [kernel] = health.reasons.filter(({ code, state }) => state === 'lost' && code !== 'lost')
  const texts = [stateReason ?? 'it fell off the bus, or needs a reset', kernel && withHours(kernel.text)]
  return texts.flatMap((text) => (text ? [sentence(text)] : [])).join(' ')
}

/** A problem of the whole driver is told once, not for each of its cards. */
function vendorTold(facts: DoctorFacts, { vendor, stateReason }: Card): boolean {
  if (facts.problems.some((problem) => problem === stateReason)) return true
  return (
    vendor === 'nvidia' && facts.problems.some((problem) => (nvidiaFinding(facts, problem) ?? []).length > 0)
  )
}

function errorFinding(facts: DoctorFacts, card: Card, name: string): Finding[] {
  const { stateReason = '', id: device } = card
  const base = { device, detail: stateReason }
  if (/held for a virtual machine/.test(stateReason)) {
    return [
      { ...base, code: 'card_of_a_guest', level: 'note', title: `${name} is kept for a virtual machine` },
    ]
  }
  const isBound = /nouveau|nvidiafb|^no driver is bound/.test(stateReason)
  if ((card.vendor === 'nvidia' && isBound && boundDriver(facts).length > 0) || vendorTold(facts, card))
    return []
  // So nvidia-smi speaks of a card that gives it no handle.
  if (card.vendor === 'nvidia' && /unknown error|handle/i.test(stateReason)) {
    return [
      {
        device,
        code: 'card_error',
        level: 'error',
        title: `${name} does not answer its driver`,
        detail: `nvidia-smi says: ${sentence(stateReason)} Mostly the card has crashed or fallen off the bus.`,
        advice:
          'Reset it, or reboot. If it comes again, check its power cables, riser and seat, and whether it got too hot.',
        command: `sudo nvidia-smi --gpu-reset -i ${smiName(card)}\nsudo dmesg | grep -E 'NVRM|Xid'`,
      },
    ]
  }
  return [
    {
      ...base,
      code: 'card_error',
      level: card.kind === 'integrated' ? 'warning' : 'error',
      title: `The driver cannot use ${name}`,
      advice: isBound
        ? 'Load the driver; where there is none for this kernel, install it with its firmware (linux-firmware).'
        : "See the kernel's log for the card; load its driver anew, or reboot.",
      command: `sudo dmesg | grep -iE '${logWords[card.vendor] ?? 'gpu|drm'}'`,
    },
  ]
}

/** What drivers begin their lines in the kernel's log with. */
const logWords: Partial<Record<Card['vendor'], string>> = {
  nvidia: 'NVRM|Xid|nvidia',
  amd: 'amdgpu|kfd',
  intel: 'i915|xe ',
}

/** Told together: one variable mostly hides several. */
function hiddenCards(facts: DoctorFacts): Finding[] {
  const gpus = gpusOf(facts)
  const byReason = Map.groupBy(
    gpus.filter(({ state }) => state === 'hidden'),
    ({ stateReason = '' }) => stateReason.replace(/ hides it from Drover$/, ''),
  )
  const nothingLeft = gpus.every(({ state }) => state === 'hidden')
  return [...byReason].map(([setting, cards]) => ({
    code: 'card_hidden',
    level: nothingLeft ? 'warning' : 'note',
    title: `${setting} hides ${namesOf(facts, cards)}`,
    detail: nothingLeft ? 'No GPU is left, and models run on the CPU.' : 'Drover does not use what it hides.',
    advice:
      'If that is not meant, take the variable out of the environment. To choose devices for Drover alone, set DROVER_DEVICES.',
    command: `unset ${setting.split('=')[0]}`,
  }))
}

/** MIG is on and nothing is cut: the card takes no work, and neither does any part of it. */
export const partitions: Check = (facts) =>
  cardsOf(facts)
    .filter(({ id, partitioned }) => partitioned && !facts.devices.some(({ parentId }) => parentId === id))
    .map((card) => ({
      code: 'mig_without_instances',
      level: 'error',
      title: `${nameOf(facts, card)} has MIG on, and no instances`,
      detail: 'In this mode only instances take work, so that the card does nothing.',
      advice: 'Turn MIG off, or make instances (see the profiles with: nvidia-smi mig -lgip).',
      command: `sudo nvidia-smi -i ${smiName(card)} -mig 0\n# or one instance of the whole card:\nsudo nvidia-smi mig -i ${smiName(card)} -cgi 0 -C`,
      device: card.id,
    }))

/** Each start of an engine waits for the driver where it does not stay loaded. */
export const persistence: Check = (facts) => {
  const off = cardsOf(facts).filter(({ persistence: on, state }) => on === false && state === 'ok')
  if (off.length === 0 || facts.host?.wsl !== undefined) return []
  return [
    {
      code: 'persistence_off',
      level: 'note',
      title: `Persistence mode is off on ${namesOf(facts, off)}`,
      detail:
        'When the last program lets go of the card its driver shuts it down; the next one then waits up to some seconds, and settings such as power limits are lost.',
      advice: 'Turn it on; the service nvidia-persistenced does it at each start of the machine.',
      command: 'sudo nvidia-smi -pm 1\nsudo systemctl enable --now nvidia-persistenced',
    },
  ]
}

/** The oldest that CUDA builds of engines compute on. */
const leastCapability = 5

export const oldCards: Check = (facts) => {
  const old = cardsOf(facts).filter(({ computeCapability }) => Number(computeCapability) < leastCapability)
  if (old.length === 0) return []
  return [
    {
      code: 'card_too_old',
      level: 'warning',
      title: `${namesOf(facts, old)} is too old for CUDA builds of engines`,
      detail: `Its compute capability is ${old[0]?.computeCapability}; they begin at ${leastCapability}.0.`,
      advice: 'Use it through Vulkan, if its driver has that, or leave it out (DROVER_DEVICES).',
    },
  ]
}
