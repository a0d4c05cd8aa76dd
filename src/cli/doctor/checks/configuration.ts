import { selects } from '../../../placement/index.ts'
import type { Check, ConfigLook, DoctorFacts, Finding } from '../contract.ts'
import { gpusOf, listed } from '../naming.ts'

type Loaded = Exclude<ConfigLook, { error: string }>

/** What is configured and cannot be, or has no effect. */
export const configuration: Check = (facts) => {
  const { config } = facts
  if (!config) return []
  if (config.error !== undefined) {
    return [
      {
        code: 'configuration_refused',
        level: 'error',
        title: 'The configuration cannot be used, and `drover serve` does not start',
        detail: config.error.replace(/^configuration:\s*/, ''),
        advice: 'Correct what is named there; docs/configuration.md has every setting.',
      },
    ]
  }
  const findings = [...config.warnings.map(warning), ...missingDevices(facts, config)]
  if (findings.length > 0 || config.file === undefined) return findings
  return [{ code: 'configuration_well', level: 'ok', title: `Configuration: ${config.file}`, detail: '' }]
}

/** What has no effect by design is no fault; a name that nobody knows is mostly a slip. */
function warning(text: string): Finding {
  const variable = /^[A-Z_]+/.exec(text)?.[0] ?? ''
  const isSlip =
    variable.startsWith('DROVER_') || /not allowed|is not a port|no variable of Ollama/.test(text)
  return {
    code: variable.startsWith('DROVER_') ? 'unknown_variable' : 'variable_without_effect',
    level: isSlip ? 'warning' : 'note',
    title: text,
    detail: '',
    advice: isSlip
      ? 'Correct it, or take it out of the environment; docs/configuration.md has every variable.'
      : 'It can be taken out of the environment.',
  }
}

/** GPUs and cores that the configuration names and that are not there, or cannot be used. */
function missingDevices(facts: DoctorFacts, { config }: Loaded): Finding[] {
  const entries = [
    ...(config.devices ?? []),
    ...(config.gpuInstances ?? []),
    ...Object.values(config.pins ?? {}).flat(),
  ]
  const gpus = gpusOf(facts)
  const findings = entries.flatMap(({ selector }): Finding[] => {
    if (selector.kind === 'cpu') return missingCores(facts, selector.cores ?? [])
    if (selector.kind !== 'gpu') return []
    const found = gpus.find((device) => selects(selector, { device, kind: 'gpu' }))
    if (found?.state === 'ok') return []
    return [
      {
        code: 'configured_device_missing',
        level: 'error',
        title: found
          ? `The configuration names "${selector.name}", which cannot be used`
          : `The configuration names a GPU "${selector.name}", and there is none`,
        detail: found
          ? (found.stateReason ?? `Its state is ${found.state}.`)
          : `There ${gpus.length === 0 ? 'is no GPU at all' : `are: ${listed(gpus.map(({ id }) => id))}`}.`,
        advice: 'Correct the name (a UUID, a PCI address or a number), or mend the card.',
        command: 'drover gpus --json',
      },
    ]
  })
  return findings.filter(({ title }, at) => findings.findIndex((other) => other.title === title) === at)
}

function missingCores({ host }: DoctorFacts, cores: readonly number[]): Finding[] {
  const missing = cores.filter((core) => host && !host.cpu.cpus.includes(core))
  if (missing.length === 0) return []
  return [
    {
      code: 'configured_device_missing',
      level: 'error',
      title: `The configuration names CPU cores that are not there: ${missing.join(', ')}`,
      detail: `This process may use ${host?.cpu.cpus.join(', ')}.`,
      advice: 'Correct `devices` in the configuration, or give the container or service those cores.',
      command: 'nproc --all; taskset -cp $$',
    },
  ]
}
