import { text as readText } from 'node:stream/consumers'
import { Command } from 'commander'

interface RunFlags {
  format?: string
  keepalive?: string
  think?: string | boolean
  hidethinking?: boolean
  verbose?: boolean
}

export interface GeneratePart {
  response?: string
  thinking?: string
  done?: boolean
  total_duration?: number
  load_duration?: number
  prompt_eval_count?: number
  prompt_eval_duration?: number
  eval_count?: number
  eval_duration?: number
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
  const parts = createClient(readSettings().config.host).stream<GeneratePart>('/api/generate', body, reader.signal)
  try {
    for await (const part of parts) printer.print(part)
  } catch (error) {
    if (!reader.signal.aborted) throw error
  }
}

/** What is piped in; nothing where a person types, or where there is no stdin. */
async function readPipedInput(): Promise<string> {
  if (process.stdin.isTTY || words0IsEnough()) return ''
  return (await readText(process.stdin)).trimEnd()
}
