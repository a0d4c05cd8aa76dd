import { fstatSync } from 'node:fs'
import { text as readText } from 'node:stream/consumers'
import { Command } from 'commander'
import type { ShownModel } from './api-types.ts'
import type { Client } from './client.ts'
import { messageOf } from './errors.ts'
import { programName } from './program-name.ts'
import type { Session } from './session.ts'
import { parseThink } from './think.ts'

interface RunFlags {
  format?: string
  keepalive?: string
  think?: string
  hidethinking?: boolean
  verbose?: boolean
  insecure?: boolean
  nowordwrap?: boolean
  truncate?: string
  dimensions?: string
}

export function runCommand(): Command {
  return new Command('run')
    .argument('<MODEL>')
    .argument('[PROMPT...]', 'what to ask; what comes on stdin is put before it')
    .description('Run a model')
    .option('--keepalive <string>', 'Duration to keep a model loaded (e.g. 5m)')
    .option('--verbose', 'Show timings for response')
    .option('--insecure', 'Use an insecure registry')
    .option('--nowordwrap', "Don't wrap words to the next line automatically")
    .option('--format <string>', 'Response format (e.g. json)')
    .option(
      '--think [string]',
      'Enable thinking mode: true/false or high/medium/low/max for supported models',
    )
    .option('--hidethinking', 'Hide thinking output (if provided)')
    .option(
      '--truncate [bool]',
      'For embedding models: truncate inputs exceeding context length (default: true). Set --truncate=false to error instead',
    )
    .option('--dimensions <int>', 'Truncate output embeddings to specified dimension (embedding models only)')
    .action(run)
}

async function run(model: string, words: string[], flags: RunFlags): Promise<void> {
  const { connect } = await import('./connect.ts')
  const client = await connect()
  let session = sessionOf(model, flags)
  const piped = await readPipedInput()
  const prompt = [piped, ...words].filter((part) => part !== '').join(' ')
  const interactive = prompt === '' && process.stdin.isTTY === true && process.stdout.isTTY === true
  const shown = await showOrPull(client, model, flags.insecure ?? false)
  const { applyModel } = await import('./session.ts')
  session = applyModel(session, shown)
  if (shown.capabilities?.includes('embedding')) return embed(client, session, prompt, flags)
  if (interactive) {
    const { startRepl } = await import('./repl/repl.ts')
    return startRepl(client, session)
  }
  const { generate } = await import('./answer/generate.ts')
  await generate(client, session, prompt)
}

function sessionOf(model: string, flags: RunFlags): Session {
  return {
    model,
    parentModel: '',
    loadedMessages: [],
    messages: [],
    system: '',
    options: {},
    ...(flags.format !== undefined && flags.format !== '' && { format: parseFormat(flags.format) }),
    ...(flags.think !== undefined && { think: parseThink(flags.think) }),
    thinkChosen: flags.think !== undefined,
    ...(flags.keepalive && { keepAlive: flags.keepalive }),
    multimodal: false,
    wordWrap: !flags.nowordwrap,
    verbose: flags.verbose ?? false,
    hideThinking: flags.hidethinking ?? false,
  }
}

/** What is piped in; a terminal and `/dev/null`, which are character devices, give nothing. */
async function readPipedInput(): Promise<string> {
  if (process.stdin.isTTY || fstatSync(process.stdin.fd).isCharacterDevice()) return ''
  return readText(process.stdin)
}

/** What the server knows of a model; one that it has not is pulled first. */
async function showOrPull(client: Client, model: string, insecure: boolean): Promise<ShownModel> {
  const { ServerError } = await import('./client.ts')
  try {
    return await client.post<ShownModel>('/api/show', { model })
  } catch (error) {
    if (!(error instanceof ServerError) || error.status !== 404) throw error
  }
  const { pullModel } = await import('./pull.ts')
  await pullModel(client, model, insecure)
  return client.post<ShownModel>('/api/show', { model })
}

/** Prints the vector of a text. */
async function embed(client: Client, session: Session, input: string, flags: RunFlags): Promise<void> {
  const { model, keepAlive } = session
  if (input === '') {
    throw new Error(
      `embedding models require input text. Usage: ${programName()} run ${model} "your text here"`,
    )
  }
  const { embeddings } = await client.post<{ embeddings: number[][] }>('/api/embed', {
    model,
    input,
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    ...(flags.truncate !== undefined && { truncate: flags.truncate !== 'false' }),
    ...(flags.dimensions !== undefined && { dimensions: Number(flags.dimensions) }),
  })
  const [vector] = embeddings
  if (!vector) throw new Error('no embeddings returned')
  process.stdout.write(`${JSON.stringify(vector)}\n`)
}

/** A word, or a JSON schema. */
function parseFormat(format: string): unknown {
  if (!format.trimStart().startsWith('{')) return format
  try {
    return JSON.parse(format)
  } catch (error) {
    throw new Error(`--format is not the JSON schema that it begins as: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
