import { Command, InvalidArgumentError, Option } from 'commander'
import type { BenchmarkFlags } from './benchmark/flags.ts'
import { createProgressPrinter } from './engine.ts'
import { createStopper } from './stopper.ts'

export function benchmarkCommand(): Command {
  return new Command('benchmark')
    .description('Measure a running server with real requests: latency, throughput, memory, power')
    .argument('[models...]', 'models to measure')
    .option('--multi-gpu', 'on one device, and as the server lays models over several')
    .option(
      '--strategy <names>',
      'how models are laid out, by comma: single, data, tensor, pipeline, hybrid',
      list,
      [],
    )
    .option('--gpus <list>', 'the only devices: ids, or numbers as `drover gpus` shows them', list, [])
    .option('--stages <number>', 'the same as --pipeline-size', whole)
    .option('--tensor-size <number>', 'devices that share each layer', whole)
    .addOption(
      new Option('--pipeline-size <number>', 'stages of a pipeline').argParser(whole).conflicts('stages'),
    )
    .addOption(
      new Option('--profile <name>', 'what the server is to be best at').choices([
        'latency',
        'throughput',
        'power',
        'balanced',
      ]),
    )
    .option('--latency', 'how latency grows with requests at once: 1, 2, 4, 8 and 16 where none are named')
    .option('--batch-sizes <numbers>', 'requests at once, by comma', wholes)
    .option(
      '--rate <numbers>',
      'requests a second, by comma, that come by chance whatever is answered',
      positives,
      [],
    )
    .option(
      '--model-sizes <sizes>',
      'the installed models nearest in size, by comma, such as 1B,8B',
      list,
      [],
    )
    .option('--memory', 'what the models take of each device; few requests')
    .option('--kv-cache-distribution [modes]', 'with each of these: by_layer, balanced (default: both)')
    .option(
      '--cross-gpu-sharing [values]',
      "with GPUs reading each other's memory, and without (default: both)",
    )
    .option('--requests <number>', 'of each load (default: 32, with --memory 4)', whole)
    .option('--warmup <number>', 'requests before those, of each load', whole, 4)
    .option('--prompt-tokens <number>', 'length of a prompt, about', whole, 256)
    .option('--output-tokens <number>', 'longest answer', whole, 64)
    .option('--seed <number>', 'another one makes other prompts and other chance', whole, 1)
    .option('--slo-ttft <ms>', 'an answer is good whose first token comes within', positive, 1000)
    .option('--slo-itl <ms>', 'and whose tokens come on average within', positive, 100)
    .option('--url <url>', 'the server (default: OLLAMA_HOST): Drover, Ollama, or any that speaks OpenAI')
    .option('--compare <url>', 'another server, measured in the same way')
    .option('--compare-model <name>', 'what the model is called there, where that is another name')
    .option('--api-key <key>', 'for servers that want one (default: OPENAI_API_KEY)')
    .option('--baseline <file>', 'a saved run to compare with')
    .option('--save <file>', 'keep this run')
    .option('--svg <file>', 'draw the latencies into a file')
    .option('--json', 'Print as JSON')
    .action(benchmark)
}

async function benchmark(models: string[], flags: BenchmarkFlags): Promise<void> {
  const stopper = createStopper(process)
  const abort = new AbortController()
  stopper.whenAsked(() => abort.abort(new Error('interrupted; the server has its settings back')))
  const progress = createProgressPrinter(process.stderr)
  try {
    const [{ runAsAsked }, { withValues }, { tell }] = await Promise.all([
      import('./benchmark/as-asked.ts'),
      import('./benchmark/flags.ts'),
      import('./benchmark/tell.ts'),
    ])
    const asked = withValues(models, flags)
    const measured = await runAsAsked(asked.models, asked.flags, abort.signal, (message, count) => {
      // A log has a line for each load, a terminal counts along.
      if (count && count.done < count.all && !process.stderr.isTTY) return
      progress.print({ message: count ? `${message}: ${count.done} of ${count.all}` : message })
    })
    progress.end()
    await tell(measured, asked.flags)
    if (measured.failure) {
      throw abort.signal.aborted
        ? measured.failure
        : new Error(`not all was measured: ${measured.failure.message}`)
    }
    if (measured.report.rows.some(({ errors }) => errors > 0)) process.exitCode = 1
  } finally {
    progress.end()
    stopper.release()
  }
}

function list(text: string): string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')
}

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It has to be a whole number from 1 up.')
  return value
}

function wholes(text: string): number[] {
  return list(text).map(whole)
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It has to be a number above 0.')
  return value
}

function positives(text: string): number[] {
  return list(text).map(positive)
}
