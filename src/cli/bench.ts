import { Command, Option } from 'commander'
import { createProgressPrinter } from './engine.ts'
import { createStopper } from './stopper.ts'

interface BenchDevicesFlags {
  json?: boolean
  force?: boolean
  quick?: boolean
  device?: string[]
  engine?: string
  modelSize?: string
}

export function benchCommand(): Command {
  const bench = new Command('bench').description('Measure what this machine can do')
  bench
    .command('devices')
    .description('Speed of each device through the engine: prefill, decode, memory; kept for placing models')
    .option('-d, --device <id...>', 'only these: ids, names or numbers as `drover gpus` shows them')
    .option('--force', 'measure anew what is known')
    .option('--quick', 'in a second or two each; the figures are coarser')
    .option('--json', 'Print as JSON')
    .addOption(
      new Option('--engine <name>', 'what runs the model').choices(['auto', 'llama.cpp', 'embedded']),
    )
    .option('--model-size <size>', 'size of the synthetic model, such as 1GB (default: by the device)')
    .action(benchDevices)
  return bench
}

async function benchDevices(asked: BenchDevicesFlags): Promise<void> {
  const { json = false, force = false, quick = false, ...flags } = asked
  // First of all: a Ctrl-C is answered, and cleaned up after, from here on.
  const stopper = createStopper(process)
  const abort = new AbortController()
  stopper.whenAsked(() => abort.abort(new Error('interrupted; what was measured until then is kept')))
  const [{ measureDevices }, { benchTable }, { readSettings }, { modelBytesOf }] = await Promise.all([
    import('./bench/measure-devices.ts'),
    import('./bench/table.ts'),
    import('./settings.ts'),
    import('./bench/model-size.ts'),
  ])
  const { config } = readSettings(flags.engine === undefined ? {} : { engine: flags.engine })
  const progress = createProgressPrinter(process.stderr)
  const report = await measureDevices({
    config,
    force,
    quick,
    names: flags.device,
    modelBytes: flags.modelSize === undefined ? undefined : modelBytesOf(flags.modelSize),
    signal: abort.signal,
    onProgress: (message) => progress.print({ message }),
    warn: (message) => process.stderr.write(`${message}\n`),
  }).finally(() => {
    progress.end()
    stopper.release()
  })
  process.stdout.write(json ? `${JSON.stringify(report, undefined, 2)}\n` : benchTable(report, Date.now()))
  if (report.failures.length > 0) process.exitCode = 1
}
