import { Command, InvalidArgumentError, Option } from 'commander'
import type { TraceFormat } from '../simulation/index.ts'

/** Kept as text: the readers of formats are loaded when the command runs. */
const formats = ['auto', 'mooncake', 'azure', 'burstgpt', 'servegen', 'drover']

interface SimulateFlags {
  trace: string
  cluster: string
  policy: string[]
  load: number[]
  rate?: number
  seeds: number
  requests?: number
  format: TraceFormat | 'auto'
  sloTtft: number
  sloItl: number
  svg?: string
  json?: boolean
}

export function simulateCommand(): Command {
  return new Command('simulate')
    .description('Replay recorded requests on modelled devices: which policy, how many devices, which ones')
    .requiredOption('--trace <file>', "requests: Mooncake, Azure, BurstGPT, ServeGen, or Drover's own log")
    .requiredOption('--cluster <file>', 'the modelled instances, in YAML or JSON')
    .option('--policy <names>', 'policies, by comma; "all", and "omniscient" to compare with', list, [
      'predicted_finish',
      'least_loaded',
      'round_robin',
    ])
    .option(
      '--load <shares>',
      'shares of what the cluster can do, by comma, such as 0.5,0.9 (default: as recorded)',
      shares,
      [],
    )
    .addOption(new Option('--rate <number>', 'requests a second').argParser(positive).conflicts('load'))
    .option('--seeds <number>', 'runs that differ in chance only; the mean is told', whole, 1)
    .option('--requests <number>', 'only the first so many', whole)
    .addOption(new Option('--format <name>', 'of the trace').choices(formats).default('auto'))
    .option('--slo-ttft <ms>', 'an answer is good whose first token comes within', positive, 1000)
    .option('--slo-itl <ms>', 'and whose tokens come on average within', positive, 100)
    .option('--svg <file>', 'draw the times to first token into a file')
    .option('--json', 'Print as JSON')
    .action(simulate)
}

async function simulate(flags: SimulateFlags): Promise<void> {
  const { readCluster, readTrace, runExperiment, textReport, drawPlot } = await import(
    '../simulation/index.ts'
  )
  const { chosenRouters, aboutLines, progressOn } = await import('./simulate/options.ts')
  const routers = chosenRouters(flags.policy)
  const cluster = readCluster(flags.cluster)
  const { format, requests } = flags
  const trace = await readTrace(flags.trace, { format, ...(requests !== undefined && { requests }) })
  const progress = progressOn(process.stderr)
  const experiment = runExperiment({
    trace,
    cluster,
    routers,
    loads: flags.load,
    ...(flags.rate !== undefined && { rate: flags.rate }),
    seeds: flags.seeds,
    objective: { ttftMs: flags.sloTtft, itlMs: flags.sloItl },
    onRun: progress.show,
  })
  progress.end()
  const about = aboutLines(trace, cluster, flags)
  if (flags.svg !== undefined) {
    const { writeFile } = await import('node:fs/promises')
    await writeFile(flags.svg, drawPlot(experiment, about[0] ?? ''))
  }
  if (flags.json) {
    process.stdout.write(`${JSON.stringify({ simulated: true, about, ...experiment }, undefined, 2)}\n`)
  } else process.stdout.write(textReport(experiment, about))
}

function list(text: string): string[] {
  return text.split(',').map((name) => name.trim())
}

function shares(text: string): number[] {
  return list(text).map((share) => {
    const value = share.endsWith('%') ? Number(share.slice(0, -1)) / 100 : Number(share)
    if (!(value > 0 && value <= 10)) {
      throw new InvalidArgumentError(`"${share}" is no share such as 0.7 or 70%.`)
    }
    return value
  })
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It has to be a number above 0.')
  return value
}

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It has to be a whole number from 1 up.')
  return value
}
