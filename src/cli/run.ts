import { fstatSync } from 'node:fs'
import { text as readText } from 'node:stream/consumers'
import { Command } from 'commander'
import type { GeneratePart } from './answer-printer.ts'
import { messageOf } from './errors.ts'

interface RunFlags {
  format?: string
  keepalive?: string
  think?: string | boolean
  hidethinking?: boolean
  verbose?: boolean
}

export function runCommand(): Command {
  return new Command('run')
    .argument('<model>')
    .argument('[prompt...]', 'what to ask; what comes on stdin is put before it')
    .description('ask a model once and print its answer as it comes')
    .option('--format <format>', 'json, or a JSON schema')
    .option('--keepalive <duration>', 'how long the model stays loaded, such as 5m')
    .option('--think [level]', 'true, false, high, medium or low')
    .option('--hidethinking', 'do not print what the model thinks')
    .option('--verbose', 'print timings at the end')
    .action(run)
}

async function run(model: string, words: string[], flags: RunFlags): Promise<void> {
  const [{ createClient }, { readSettings }, { createAnswerPrinter }] = await Promise.all([
    import('./client.ts'),
    import('./settings.ts'),
    import('./answer-printer.ts'),
  ])
  const prompt = [await readPipedInput(), words.join(' ')].filter((part) => part !== '').join('\n')
  if (prompt === '') throw new Error(`there is nothing to ask. Usage: drover run ${model} "your text here"`)
  const printer = createAnswerPrinter(flags)
  const reader = new AbortController()
  // Nobody reads the answer any more: the model need not go on.
  process.stdout.once('error', () => reader.abort())
  const body = {
    model,
    prompt,
    ...(flags.format !== undefined && { format: parseFormat(flags.format) }),
    ...(flags.keepalive !== undefined && { keep_alive: flags.keepalive }),
    ...(flags.think !== undefined && { think: parseThink(flags.think) }),
  }
  const parts = createClient(readSettings().config.host).stream<GeneratePart>(
    '/api/generate',
    body,
    reader.signal,
  )
  try {
    for await (const part of parts) printer.print(part)
    printer.end()
  } catch (error) {
    if (!reader.signal.aborted) throw error
  }
}

/** What is piped in; a terminal and `/dev/null`, which are character devices, give nothing. */
async function readPipedInput(): Promise<string> {
  if (fstatSync(process.stdin.fd).isCharacterDevice()) return ''
  return (await readText(process.stdin)).trimEnd()
}

/** A word, or a JSON schema. */
function parseFormat(format: string): unknown {
  if (!format.startsWith('{')) return format
  try {
    return JSON.parse(format)
  } catch (error) {
    throw new Error(`--format is not the JSON schema that it begins as: ${messageOf(error)}`, {
      cause: error,
    })
  }
}

function parseThink(think: string | boolean): string | boolean {
  if (think === 'false') return false
  return think === 'true' ? true : think
}
