/** Why NVIDIA's tools give no answer. */
export interface NvidiaProblem {
  kind:
    | 'library_mismatch'
    | 'no_driver'
    | 'no_library'
    | 'no_permission'
    | 'no_devices'
    | 'container'
    | 'unknown_field'
    | 'other'
  /** What is wrong and what to do about it. */
  text: string
}

interface Rule {
  pattern: RegExp
  kind: NvidiaProblem['kind']
  says: (match: RegExpExecArray) => string
}

const rules: readonly Rule[] = [
  {
    pattern: /driver\/library version mismatch(?:[\s\S]{0,40}NVML library version:\s*([\d.]+))?/i,
    kind: 'library_mismatch',
    says: ([, library]) =>
      `The NVIDIA library${library === undefined ? '' : ` (${library})`} does not match the kernel module that is ` +
      'loaded, as after an upgrade of the driver. Reboot, or stop all that uses the cards and reload the module ' +
      '(sudo modprobe -r nvidia_uvm nvidia_drm nvidia_modeset nvidia && sudo modprobe nvidia).',
  },
  {
    pattern: /couldn't communicate with the NVIDIA driver|driver not loaded|driver is not loaded/i,
    kind: 'no_driver',
    says: () =>
      'The NVIDIA driver is not running. Load it (sudo modprobe nvidia); where that fails, install the driver for ' +
      'this kernel again, and where Secure Boot is on, sign or enrol its module.',
  },
  {
    pattern:
      /couldn't find (?:the )?(libnvidia-ml|nvml)|nvml shared library not found|libnvidia-ml\.so[^\n]*(cannot open|not found)/i,
    kind: 'no_library',
    says: () =>
      "nvidia-smi does not find the driver's library (libnvidia-ml.so.1). Install the driver's compute libraries of the " +
      'same version as its kernel module; in a container, give it the "utility" capability ' +
      '(NVIDIA_DRIVER_CAPABILITIES=compute,utility).',
  },
  {
    pattern: /insufficient permissions|access blocked by the operating system|permission denied/i,
    kind: 'no_permission',
    says: () =>
      'This user may not use the NVIDIA cards. Give it access to /dev/nvidiactl and /dev/nvidia* (groups "video" and ' +
      '"render", or the device rules of the container).',
  },
  {
    pattern: /no devices were found|no supported gpus? (was|were) found|no supported devices/i,
    kind: 'no_devices',
    says: () =>
      'The NVIDIA driver runs and has no card. In a container, pass the cards in (--gpus all); else look in the ' +
      "kernel's log (dmesg | grep NVRM) whether a card failed to start or fell off the bus.",
  },
  {
    pattern: /failed to initialize NVML:\s*(unknown error)/i,
    kind: 'container',
    says: () =>
      'The NVIDIA library could not start (Unknown Error). In a container this comes of its device rules having been ' +
      'reloaded under it: restart the container; on the host, restart the machine.',
  },
  {
    pattern: /failed to initialize NVML:\s*([^\n]+)/i,
    kind: 'other',
    says: ([, words = '']) =>
      `The NVIDIA library could not start: ${words.trim()}. Reload the driver or reboot.`,
  },
  {
    pattern: /field "([^"\n]+)" is not a valid field to query/i,
    kind: 'unknown_field',
    says: ([, field]) => `This nvidia-smi does not know the field "${field}": a newer driver does.`,
  },
  {
    pattern: /^error:\s*(option [^\n]+)/im,
    kind: 'other',
    says: ([, words = '']) => `nvidia-smi did not take what was asked of it: ${words.trim()}`,
  },
]

/** What is wrong by the words of NVIDIA's tools, on either of their outputs; undefined where they say nothing known. */
export function problemOf(text: string): NvidiaProblem | undefined {
  const head = text.slice(0, 20_000)
  for (const { pattern, kind, says } of rules) {
    const match = pattern.exec(head)
    if (match !== null) return { kind, text: says(match) }
  }
  return undefined
}
