import { type Vendor, visibilityOf } from '../../hardware/index.ts'

/** A device that gets a service of its own. */
export interface UnitDevice {
  id: string
  vendor: Vendor
  uuid?: string
  /** The vendor's number of it; of a device that only Vulkan knows, Vulkan's. */
  index?: number
}

/** What units are made of. Every path is absolute. */
export interface UnitPlan {
  /** What is run: Drover, or Ollama itself. With `ollama` and no devices, Drover runs Ollamas as its engine. */
  engine: 'drover' | 'ollama'
  /** One service for each of these; empty: one Drover for all. */
  devices: readonly UnitDevice[]
  /** The user that it runs as, and that user's home. */
  user: string
  homeDir: string
  modelsDir: string
  /** Node, and Drover's `bin/drover.js`. */
  nodePath: string
  droverPath: string
  /** The program `ollama`; needed where Ollama itself is run. */
  ollamaPath?: string
  /** Groups of this system that open its devices and its journal: `render`, `video`, `systemd-journal`. */
  groups: readonly string[]
  /** `nvidia-modprobe`, where it is: what makes the device files after a boot without a display. */
  nvidiaModprobePath?: string
  /** Of the first of several services; the others have the next ones. */
  firstPort: number
}

/** A file below `/etc/systemd/system`. */
export interface UnitFile {
  path: string
  text: string
}

export interface Units {
  files: UnitFile[]
  /** The services to enable. */
  services: string[]
  /** Where they listen. */
  urls: string[]
  /** Folders that have to be there, and be the user's, before they start. */
  folders: string[]
}

/**
 * The systemd units of a plan: `drover.service`; or the template `drover-gpu@.service` with what each device's instance
 * sees in a drop-in; or an `ollama-gpuN.service` a device. Throws for a plan that names no program to run.
 */
export function unitsFor(plan: UnitPlan): Units {
  const urls = portsOf(plan).map((port) => `http://127.0.0.1:${port}`)
  const folders = writablePaths(plan)
  if (plan.devices.length === 0) return { ...whole(plan), urls, folders }
  return { ...(plan.engine === 'drover' ? perDeviceDrover(plan) : perDeviceOllama(plan)), urls, folders }
}

type FilesAndServices = Pick<Units, 'files' | 'services'>

const defaultPort = 11_434

function portsOf({ devices, firstPort }: UnitPlan): number[] {
  return devices.length === 0 ? [defaultPort] : devices.map((_, position) => firstPort + position)
}

function whole(plan: UnitPlan): FilesAndServices {
  const environment = {
    OLLAMA_HOST: `127.0.0.1:${defaultPort}`,
    OLLAMA_MODELS: plan.modelsDir,
    ...(plan.engine === 'ollama' && { DROVER_ENGINE: 'ollama' }),
    ...(plan.engine === 'ollama' && plan.ollamaPath && { DROVER_OLLAMA_PROGRAM: plan.ollamaPath }),
  }
  const text = unit('Drover: every GPU of this machine as one Ollama', droverCommand(plan), environment, plan)
  return { files: [{ path: 'drover.service', text }], services: ['drover.service'] }
}

function perDeviceDrover(plan: UnitPlan): FilesAndServices {
  const environment = { OLLAMA_MODELS: plan.modelsDir }
  const template = unit('Drover on GPU %i', droverCommand(plan), environment, plan, { described: true })
  const dropIns = plan.devices.map((device, position) => ({
    path: `drover-gpu@${position}.service.d/device.conf`,
    text: `# ${device.id}\n[Service]\n${environmentLines(deviceEnvironment(plan, device, position))}`,
  }))
  return {
    files: [{ path: 'drover-gpu@.service', text: template }, ...dropIns],
    services: plan.devices.map((_, position) => `drover-gpu@${position}.service`),
  }
}

function perDeviceOllama(plan: UnitPlan): FilesAndServices {
  const { ollamaPath } = plan
  if (ollamaPath === undefined) {
    throw new Error('no ollama is on the PATH: install it, or write units for Drover (--engine drover)')
  }
  const files = plan.devices.map((device, position) => ({
    path: `ollama-gpu${position}.service`,
    text: unit(
      `Ollama on GPU ${position}, ${device.id}`,
      [ollamaPath, 'serve'],
      {
        ...deviceEnvironment(plan, device, position),
        OLLAMA_MODELS: plan.modelsDir,
        // Several servers share the store: none may delete what another one is pulling.
        OLLAMA_NOPRUNE: '1',
      },
      plan,
    ),
  }))
  return { files, services: files.map(({ path }) => path) }
}

function deviceEnvironment(
  { firstPort }: UnitPlan,
  device: UnitDevice,
  position: number,
): Record<string, string> {
  const { vendor, index } = device
  const seen = visibilityOf([
    { ...device, ...(vendor === 'other' && index !== undefined && { vulkanIndex: index }) },
  ])
  return {
    OLLAMA_HOST: `127.0.0.1:${firstPort + position}`,
    ...seen,
    // HIP would else take the variable that hides NVIDIA's cards for its own; what ROCr leaves it is number 0.
    ...(vendor === 'amd' && { HIP_VISIBLE_DEVICES: '0' }),
  }
}

function droverCommand({ nodePath, droverPath }: UnitPlan): string[] {
  return [nodePath, droverPath, 'serve']
}

/** Programs of the vendors lie beside the usual folders. */
const searchPath =
  '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/rocm/bin:/usr/local/cuda/bin'

function unit(
  description: string,
  command: readonly string[],
  environment: Readonly<Record<string, string>>,
  plan: UnitPlan,
  { described = false } = {},
): string {
  const { user, groups, nvidiaModprobePath } = plan
  return `[Unit]
Description=${described ? description : escaped(description)}
Wants=network-online.target
After=network-online.target
# However often it fails, it is started again.
StartLimitIntervalSec=0

[Service]
Type=exec
User=${escaped(user)}
${groups.length > 0 ? `SupplementaryGroups=${groups.join(' ')}\n` : ''}${environmentLines({ PATH: searchPath, ...environment })}${
  nvidiaModprobePath
    ? `# As root, and whether it succeeds or not: makes the device files of NVIDIA's cards.\nExecStartPre=-+${argument(nvidiaModprobePath)} -u -c 0\n`
    : ''
}ExecStart=${command.map(argument).join(' ')}
Restart=always
RestartSec=2
# Answers that run may end; then what is left is ended with its children.
TimeoutStopSec=90
KillMode=mixed
# An engine that the kernel ends for its memory is started anew; the others go on.
OOMPolicy=continue
LimitNOFILE=65536
LimitMEMLOCK=infinity

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
ReadWritePaths=${writablePaths(plan).map(argument).join(' ')}
PrivateTmp=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK
LockPersonality=yes
SystemCallArchitectures=native
# Not set, as they would take the GPUs away or break what runs on them: PrivateDevices=, DeviceAllow=,
# ProtectClock= (it sets DeviceAllow=), MemoryDenyWriteExecute=.

[Install]
WantedBy=multi-user.target
`
}

/** The store, and what Drover and Ollama keep in the home; each once, and none within another. */
function writablePaths({ modelsDir, homeDir }: UnitPlan): string[] {
  const all = [`${homeDir}/.drover`, `${homeDir}/.ollama`, modelsDir]
  return all.filter(
    (path, index) => !all.some((other, at) => (path === other ? at < index : path.startsWith(`${other}/`))),
  )
}

function environmentLines(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `Environment="${name}=${escaped(value).replace(/["\\]/g, '\\$&')}"\n`)
    .join('')
}

/** `%` begins a specifier. */
function escaped(text: string): string {
  return text.replaceAll('%', '%%')
}

/** One word of a command or a list of paths, as systemd.service(5) quotes them; `$` would begin a variable. */
function argument(text: string): string {
  const plain = escaped(text).replaceAll('$', '$$$$')
  return /^[\w@%+=:,./$-]+$/.test(plain) ? plain : `"${plain.replace(/["\\]/g, '\\$&')}"`
}
