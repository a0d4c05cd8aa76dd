import { Command } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { programName } from './program-name.ts'

export function versionCommand(): Command {
  return new Command('version')
    .description('Show version information')
    .action(() => printVersion(programName()))
}

/** Prints Drover's version; as `ollama`, the server's and, where it differs, the client's. */
export async function printVersion(name: string): Promise<void> {
  process.stdout.write(name === 'ollama' ? await ollamaVersionText() : `drover ${packageJson.version}\n`)
}

async function ollamaVersionText(): Promise<string> {
  const [{ ollamaVersion }, serverVersion] = await Promise.all([import('../config/index.ts'), askVersion()])
  const lines = [
    serverVersion === undefined
      ? 'Warning: could not connect to a running Ollama instance'
      : `ollama version is ${serverVersion}`,
    ...(serverVersion === ollamaVersion ? [] : [`Warning: client version is ${ollamaVersion}`]),
  ]
  return `${lines.join('\n')}\n`
}

async function askVersion(): Promise<string | undefined> {
  const [{ createClient }, { readSettings }] = await Promise.all([
    import('./client.ts'),
    import('./settings.ts'),
  ])
  try {
    const { version } = await createClient(readSettings().config.host).get<{ version: string }>(
      '/api/version',
    )
    return version
  } catch {
    // That no server answers is part of what is printed.
    return undefined
  }
}
