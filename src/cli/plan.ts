import { Command, InvalidArgumentError, Option } from 'commander'
import type { PlanFlags } from './plan/flags.ts'

/** Kept as text: the planner is loaded when the command runs. */
const strategies = ['single', 'data', 'tensor', 'pipeline', 'hybrid']
const engines = ['llama.cpp', 'embedded', 'ollama', 'vllm', 'sglang', 'exllama']

export function planCommand(): Command {
  return new Command('plan')
    .argument(
      '<MODEL...>',
      'a model of the store, a GGUF file, a Hugging Face folder, or a well-known name; several: all at the same time, each perhaps with wishes of its own (qwen3:8b,ctx=8192,replicas=2,priority=1)',
    )
    .description('How models would lie on GPUs, these or others: layout, speed, command lines, and why')
    .option('--gpus <list>', 'plan for these machines, such as "2x4090,cpu:64" or "8x3090 / 8x3090 @10gbe"')
    .addOption(
      new Option('--inventory <file>', 'plan for the machines of a file (YAML, JSON)').conflicts('gpus'),
    )
    .addOption(new Option('--strategy <name>', 'how to use several devices').choices(strategies))
    .option('--ctx <tokens>', 'context of each slot', whole)
    .option('--slots <number>', 'requests at once', whole)
    .option('--kv-cache-type <type>', 'f16, q8_0, q4_0, ...; auto: 8 bits where 16 do not fit on the devices')
    .option('--replicas <number>', 'copies', whole)
    .option('--tensor-size <number>', 'devices that share each layer', whole)
    .option('--pipeline-size <number>', 'stages that follow each other', whole)
    .option('--pin <name...>', 'only these devices, nodes or labels, such as gpu0, node1, vendor=amd')
    .option('--avoid <name...>', 'not these')
    .addOption(
      new Option('--objective <name>', 'what is to be best: one stream, or all together').choices([
        'latency',
        'throughput',
      ]),
    )
    .option('--max-watts <watts>', 'all devices of the plan together', positive)
    .option('--reserve <size>', 'kept free on each device, such as 1GiB')
    .addOption(new Option('--engine <name>', 'what runs it').choices(engines))
    .option('--no-offload', 'nothing on the CPU or in host memory')
    .option('--json', 'Print as JSON')
    .action(plan)
}

async function plan(models: readonly string[], flags: PlanFlags): Promise<void> {
  const [{ reportFor }, { planText, refusalText }, { plansText }] = await Promise.all([
    import('./plan/report.ts'),
    import('./plan/text.ts'),
    import('./plan/together-text.ts'),
  ])
  const report = await reportFor(models, flags)
  if (!report.ok) process.exitCode = 1
  if (flags.json) return void process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  const { columns = 80, isTTY = false } = process.stdout
  const color = isTTY && !process.env['NO_COLOR']
  const options = { width: Math.min(columns, mostColumns), color }
  if ('models' in report) process.stdout.write(plansText(report, options))
  else if (report.ok) process.stdout.write(planText(report, options))
  else process.stderr.write(refusalText(report))
}

/** Wider than this a line is hard to follow. */
const mostColumns = 120

function whole(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1) {
    throw new InvalidArgumentError('It has to be a whole number from 1 up.')
  }
  return value
}

function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0)) throw new InvalidArgumentError('It has to be a number above 0.')
  return value
}
