import type { Check, DoctorFacts, Finding, HostLook } from '../contract.ts'
import { namesOf } from '../naming.ts'

/** How a distribution installs NVIDIA's driver; the first that the machine's names match. */
const installLines: readonly [RegExp, string][] = [
  [/\bubuntu\b/, 'sudo ubuntu-drivers install'],
  [/\bdebian\b/, 'sudo apt install nvidia-driver firmware-misc-nonfree'],
  [/\b(fedora|rhel|centos)\b/, 'sudo dnf install akmod-nvidia xorg-x11-drv-nvidia-cuda'],
  [/\barch\b/, 'sudo pacman -S nvidia-open nvidia-utils'],
  [/\bsuse\b|opensuse/, 'sudo zypper install nvidia-open-driver-G06-signed-kmp-default nvidia-compute-G06'],
]

function installLine(host: HostLook | undefined): string | undefined {
  return installLines.find(([distribution]) => distribution.test(host?.distribution ?? ''))?.[1]
}

/** What stands in the way of NVIDIA's driver, by what holds the cards on the bus. */
export const boundDriver: Check = (facts) => {
  const cards = facts.devices.filter(({ vendor, state }) => vendor === 'nvidia' && state === 'error')
  const nouveau = cards.filter(({ stateReason = '' }) => /nouveau|nvidiafb/.test(stateReason))
  const unbound = cards.filter(({ stateReason = '' }) => stateReason.startsWith('no driver is bound'))
  const install = installLine(facts.host)
  const findings: Finding[] = []
  if (nouveau.length > 0) {
    findings.push({
      code: 'nvidia_nouveau',
      level: 'error',
      title: "The open driver nouveau holds the card, and NVIDIA's does not get it",
      detail: `${namesOf(facts, nouveau)}: nouveau can draw with it, but no engine computes through it.`,
      advice:
        "Install NVIDIA's driver, keep nouveau from loading, and reboot. Rebuild the start image before that " +
        '(sudo update-initramfs -u on Debian and Ubuntu, sudo dracut --force on Fedora).',
      command: [
        ...(install === undefined ? [] : [install]),
        "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf",
        'sudo reboot',
      ].join('\n'),
    })
  }
  if (unbound.length > 0) {
    findings.push({
      code: 'nvidia_driver_missing',
      level: 'error',
      title: "NVIDIA's driver is not running",
      detail: `${namesOf(facts, unbound)}: the card is on the bus, and no driver has it.${secureBootText(facts)}`,
      advice:
        "Install the driver for this kernel and reboot; where it is installed, load it, and see the kernel's log for why it does not start.",
      command: [...(install === undefined ? [] : [install]), 'sudo modprobe nvidia'].join('\n'),
    })
  }
  return findings
}

function secureBootText({ drivers }: DoctorFacts): string {
  return drivers?.secureBoot
    ? ' Secure Boot is on, so that its module must be signed with a key that the firmware knows (mokutil --import), or it is refused.'
    : ''
}

interface Rule {
  pattern: RegExp
  /** Undefined: another check tells it better. */
  find(
    facts: DoctorFacts,
    problem: string,
  ): (Omit<Finding, 'code' | 'detail'> & { detail?: string }) | undefined
  code: string
}

const isContained = ({ host }: DoctorFacts) => host?.container !== undefined

/** What NVIDIA's probe says, each with what it means and what mends it. */
const rules: readonly Rule[] = [
  {
    pattern: /does not match the kernel module/,
    code: 'nvidia_library_mismatch',
    find: (facts, problem) => ({
      level: 'error',
      title: "NVIDIA's driver and its library have different versions",
      detail: `${versionsText(facts, problem)} This happens when the driver is updated while the old one is loaded; until it is mended no program can use the cards.`,
      ...(isContained(facts)
        ? {
            advice:
              'Reboot the host, then start the container anew: its library comes from the host when it starts.',
          }
        : {
            advice:
              'Reboot. Where that cannot be, stop everything that uses the cards (display, containers, engines), then load the module anew.',
            command:
              'sudo reboot\n# or, without a reboot:\nsudo modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia',
          }),
    }),
  },
  {
    pattern: /The NVIDIA driver is not running|without NVIDIA's driver/,
    code: 'nvidia_driver_missing',
    find: (facts) => {
      if (boundDriver(facts).length > 0) return undefined
      const install = installLine(facts.host)
      return {
        level: 'error',
        title: "NVIDIA's driver is not running",
        detail: `Its tools are here and cannot reach it.${secureBootText(facts)}`,
        advice:
          'Load it; where that fails, install it again for this kernel (it has to be built anew after each update of the kernel).',
        command: ['sudo modprobe nvidia', ...(install === undefined ? [] : [install])].join('\n'),
      }
    },
  },
  {
    pattern: /nvidia-smi is not found/,
    code: 'nvidia_tools_missing',
    find: (facts) =>
      withoutFiles(facts)
        ? undefined
        : {
            level: 'warning',
            title: "NVIDIA's tools are missing",
            detail: `The driver${facts.drivers?.nvidiaModule === undefined ? '' : ` ${facts.drivers.nvidiaModule}`} is loaded, and nvidia-smi is not here: without it Drover does not know the cards' memory and health.`,
            advice: isContained(facts)
              ? 'Give the container the "utility" capability.'
              : "Install the utilities of the driver's version (nvidia-utils).",
            ...(isContained(facts) && {
              command: 'docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ...',
            }),
          },
  },
  {
    pattern: /does not find the driver's library/,
    code: 'nvidia_library_missing',
    find: (facts) => ({
      level: 'error',
      title: "NVIDIA's library (libnvidia-ml.so.1) is missing",
      advice: isContained(facts)
        ? 'Give the container the capabilities "compute" and "utility".'
        : "Install the driver's compute libraries in the same version as its kernel module, then run ldconfig.",
      ...(isContained(facts) && {
        command: 'docker run --gpus all -e NVIDIA_DRIVER_CAPABILITIES=compute,utility ...',
      }),
    }),
  },
  {
    pattern: /This user may not use the NVIDIA cards/,
    code: 'no_permission',
    // Where the file is known, so is its group.
    find: ({ drivers }) =>
      drivers?.files.some(({ path, mayUse }) => path.startsWith('/dev/nvidia') && !mayUse)
        ? undefined
        : {
            level: 'error',
            title: 'This user may not use the NVIDIA cards',
            advice:
              'Start the container with the cards passed in; on the host, let this user read and write /dev/nvidiactl and /dev/nvidia*.',
          },
  },
  {
    pattern: /driver runs and has no card/,
    code: 'nvidia_no_card',
    find: (facts) => ({
      level: 'error',
      title: "NVIDIA's driver runs and has no card",
      advice: isContained(facts)
        ? 'Pass the cards into the container.'
        : "See the kernel's log for a card that failed to start or fell off the bus; then check its seat, riser and power cables.",
      command: isContained(facts) ? 'docker run --gpus all ...' : "sudo dmesg | grep -E 'NVRM|Xid'",
    }),
  },
  {
    pattern: /could not start \(Unknown Error\)/,
    code: 'nvidia_library_failed',
    find: (facts) => ({
      level: 'error',
      title: "NVIDIA's library does not start any more (Unknown Error)",
      advice: isContained(facts)
        ? 'Restart the container: systemd has reloaded its device rules and shut the cards out. To keep it from coming back, pass the device files by name, or have Docker use the cgroup driver "cgroupfs".'
        : 'Reboot the machine.',
    }),
  },
  {
    pattern: /attached cards are listed/,
    code: 'nvidia_card_unlisted',
    find: ({ devices }) =>
      devices.some(({ vendor, state }) => vendor === 'nvidia' && (state === 'lost' || state === 'error'))
        ? undefined
        : {
            level: 'warning',
            title: 'nvidia-smi leaves cards out that are attached',
            advice: "See the kernel's log for a card that does not start; then reset it, or reboot.",
            command: "sudo dmesg | grep -E 'NVRM|Xid'",
          },
  },
  {
    pattern: /nvidia-smi did not answer within/,
    code: 'nvidia_slow',
    find: () => ({
      level: 'error',
      title: 'nvidia-smi does not answer',
      advice:
        "Turn persistence on, so that the driver stays loaded. If it is on, a card hangs: see the kernel's log.",
      command: "sudo nvidia-smi -pm 1\nsudo dmesg | grep -E 'NVRM|Xid'",
    }),
  },
]

/** Lines about single cards, which are told with the cards themselves. */
const aboutCards = /NVIDIA card \S+ (is lost|does not answer|may not be used|is left out)/

function versionsText({ drivers }: DoctorFacts, problem: string): string {
  const library = /NVIDIA library \(([\d.]+)\)/.exec(problem)?.[1]
  const module_ = drivers?.nvidiaModule ?? /loaded module is ([\d.]+)/.exec(problem)?.[1]
  if (library !== undefined && module_ !== undefined)
    return `The library is ${library}, the kernel module that is loaded ${module_}.`
  return library === undefined
    ? "The library's version is not that of the kernel module that is loaded."
    : `The library is ${library}, the kernel module that is loaded is of another version.`
}

/** The driver is loaded, and nothing leads to it. */
function withoutFiles({ drivers, host }: DoctorFacts): boolean {
  return (
    drivers?.nvidiaModule !== undefined &&
    host?.wsl === undefined &&
    !drivers.files.some(({ path }) => path === '/dev/nvidiactl')
  )
}

const deviceFiles: Check = (facts) => {
  if (!withoutFiles(facts)) return []
  const found = `NVIDIA's driver ${facts.drivers?.nvidiaModule} is loaded, and there is no /dev/nvidiactl.`
  if (isContained(facts)) {
    return [
      {
        code: 'container_without_gpu',
        level: 'error',
        title: `The ${facts.host?.container} container has not been given the NVIDIA cards`,
        detail: `${found} It belongs to the host, which has not passed the cards in.`,
        advice:
          'Start the container with the cards (the host needs the NVIDIA container toolkit; in Kubernetes ask for nvidia.com/gpu in the limits).',
        command: 'docker run --gpus all ...',
      },
    ]
  }
  return [
    {
      code: 'nvidia_device_files_missing',
      level: 'error',
      title: 'The device files of the NVIDIA cards are missing',
      detail: found,
      advice: 'Have them made; the package nvidia-modprobe does it by itself from then on.',
      command: 'sudo nvidia-modprobe -u -c=0',
    },
  ]
}

/** The finding behind a problem of NVIDIA's probe; undefined where none of these rules knows it. */
export function nvidiaFinding(facts: DoctorFacts, problem: string): Finding[] | undefined {
  if (aboutCards.test(problem)) return []
  const rule = rules.find(({ pattern }) => pattern.test(problem))
  if (!rule) return undefined
  const found = rule.find(facts, problem)
  // The rest of it is advice, which the rule has more of.
  const [first = problem] = problem.split(/(?<=[.:])\s/)
  return found ? [{ code: rule.code, detail: first === `${found.title}.` ? '' : first, ...found }] : []
}

/** NVIDIA's driver, by what holds the cards and what leads to them. */
export const nvidiaDriver: Check = (facts) => [...boundDriver(facts), ...deviceFiles(facts)]
