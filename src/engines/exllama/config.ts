import { basename, dirname } from 'node:path'
import type { EngineCommand, InstanceSpec } from '../contract.ts'
import type { Place, ServerCommand } from '../openai/spawn.ts'
import { tabbyModelOptions } from './options.ts'
import type { TabbyFacts } from './probe.ts'

/** The file that TabbyAPI reads, beside the process's own things. */
const configName = 'config.yml'

/**
 * TabbyAPI's `config.yml` for one instance, as an object: YAML takes JSON as it is. The model is not named in it: it is
 * loaded by the API, which tells how far it has come and why it failed.
 */
export function tabbyConfig(spec: InstanceSpec, port: number): Record<string, unknown> {
  return {
    // It hears this host only.
    network: { host: '127.0.0.1', port, disable_auth: true, send_tracebacks: false },
    logging: { log_prompt: false, log_generation_params: false },
    model: { model_dir: dirname(spec.modelPath), ...tabbyModelOptions(spec) },
  }
}

export function tabbyCommand(spec: InstanceSpec, facts: TabbyFacts, { port, folder }: Place): ServerCommand {
  return {
    argv: [facts.python, 'main.py', '--config', `${folder}/${configName}`],
    cwd: facts.path,
    env: { CUDA_DEVICE_ORDER: 'PCI_BUS_ID' },
    files: { [configName]: JSON.stringify(tabbyConfig(spec, port)) },
  }
}

/** The one process; what is in the file is shown as the flags that mean the same. */
export function tabbyCommands(spec: InstanceSpec, facts: TabbyFacts | undefined): EngineCommand[] {
  const port = spec.port ?? 5_000
  const options = { model_name: basename(spec.modelPath), ...tabbyModelOptions(spec) }
  const flags = Object.entries(options).flatMap(([key, value]) => [
    `--${key.replaceAll('_', '-')}`,
    written(value),
  ])
  const place = ['--host', '127.0.0.1', '--port', String(port), '--disable-auth', 'true']
  const argv = [
    facts?.python ?? 'python3',
    'main.py',
    ...place,
    '--model-dir',
    dirname(spec.modelPath),
    ...flags,
  ]
  return [{ env: { ...spec.env, CUDA_DEVICE_ORDER: 'PCI_BUS_ID' }, argv }]
}

const written = (value: unknown) => (Array.isArray(value) ? value.join(' ') : String(value))
