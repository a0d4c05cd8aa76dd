import { spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { homedir, constants as osConstants } from 'node:os'
import { delimiter, join } from 'node:path'
import { type Client, ServerError } from '../client.ts'
import { connect } from '../connect.ts'
import { formatTable } from '../format.ts'
import { programName } from '../program-name.ts'
import { pullModel } from '../pull.ts'
import type { LaunchFlags } from './flags.ts'
import { type Integration, integrations, otherIntegrations } from './integrations.ts'
import { editSettings, restoreSettings } from './settings-file.ts'

/** Prints the programs that can be launched, and which of them are here. Throws when flags ask for more. */
export function listIntegrations({ model, config, restore, yes, json }: LaunchFlags): void {
  if (model !== undefined || config || restore || yes) {
    throw new Error(
      `flags and extra args require an integration name, for example: '${programName()} launch claude --model qwen3'`,
    )
  }
  const rows = integrations.map((one) => ({ name: one.name, title: one.title, path: find(one) }))
  if (json) return void process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`)
  const cells = rows.map(({ name, title, path }) => [name, title, path ?? 'not installed'])
  process.stdout.write(formatTable(['NAME', 'PROGRAM', 'PATH'], cells))
}

/**
 * Starts a program so that it uses a model of the server, and resolves to the code it exits with. Throws when there is no
 * such program, when it is not installed, and when the server has not the model.
 */
export async function launch(name: string, args: readonly string[], flags: LaunchFlags): Promise<number> {
  const integration = integrationOf(name)
  const { settings } = integration
  const settingsPath = settings && join(homedir(), settings.path)
  if (flags.restore) {
    const restored = settingsPath !== undefined && (await restoreSettings(settingsPath))
    process.stdout.write(
      restored ? `restored ${settingsPath}\n` : `nothing to restore for ${integration.title}\n`,
    )
    return 0
  }
  const path = find(integration)
  if (path === undefined) throw new Error(`${integration.name} is not installed, ${integration.install}`)
  const client = await connect()
  const model = flags.model ?? (await onlyModel(client))
  await haveModel(client, model, flags.yes ?? false)
  if (settings && settingsPath !== undefined) {
    await editSettings(settingsPath, (before) => settings.edit(before, model, client.url))
  }
  if (flags.config) {
    process.stdout.write(
      settings
        ? `wrote ${settingsPath}\n`
        : `${integration.title} needs no configuration: it is told at launch\n`,
    )
    return 0
  }
  const start = integration.start(model, client.url)
  return runProgram(path, [...(start.args ?? []), ...args], start.env ?? {})
}

function integrationOf(name: string): Integration {
  const wanted = name.toLowerCase()
  const found = integrations.find((one) => one.name === wanted || one.aliases?.includes(wanted))
  if (found) return found
  if (otherIntegrations.includes(wanted)) {
    throw new Error(
      `${wanted} cannot be configured by Drover: give it the server's address yourself, in its own settings`,
    )
  }
  throw new Error(`unknown integration: ${name}`)
}

/** The program's path: from the PATH, else from where its installer puts it. */
function find({ command, folders = [] }: Integration): string | undefined {
  const fromPath = (process.env.PATH ?? '').split(delimiter).filter((folder) => folder !== '')
  const suffixes = process.platform === 'win32' ? ['.exe', '.cmd'] : ['']
  return [...fromPath, ...folders.map((folder) => join(homedir(), folder))]
    .flatMap((folder) => suffixes.map((suffix) => join(folder, command + suffix)))
    .find(isExecutable)
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    // Not there, or not for us to run.
    return false
  }
}

/** The model to use when none is named: the only one that there is. */
async function onlyModel(client: Client): Promise<string> {
  const { models } = await client.get<{ models: { name: string }[] }>('/api/tags')
  const [first, second] = models
  if (first && !second) return first.name
  const have = first ? `; there are: ${models.map(({ name }) => name).join(', ')}` : ''
  throw new Error(`no model is chosen: add --model <model>${have}`)
}

async function haveModel(client: Client, model: string, mayPull: boolean): Promise<void> {
  try {
    await client.post('/api/show', { model })
  } catch (error) {
    if (!(error instanceof ServerError) || error.status !== 404) throw error
    if (mayPull) return pullModel(client, model, false)
    throw new Error(
      `model "${model}" not found; run '${programName()} pull ${model}' first, or use --yes to auto-pull`,
    )
  }
}

function runProgram(path: string, args: readonly string[], env: Record<string, string>): Promise<number> {
  // Ctrl-C is the program's: this process only waits for it.
  const ignore = () => undefined
  process.on('SIGINT', ignore)
  return new Promise<number>((resolve, reject) => {
    const child = spawn(path, args, { stdio: 'inherit', env: { ...process.env, ...env } })
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + osConstants.signals[signal ?? 'SIGTERM']))
  }).finally(() => process.off('SIGINT', ignore))
}
