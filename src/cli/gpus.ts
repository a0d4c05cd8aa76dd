import { Command } from 'commander'

interface GpusFlags {
  watch?: boolean
  json?: boolean
  from?: string[]
}

export function gpusCommand(): Command {
  return new Command('gpus')
    .alias('devices')
    .description('The GPUs and CPUs of this machine: memory, load, temperature, health, models')
    .option('-w, --watch', 'show them live')
    .option('--json', 'Print as JSON')
    .option(
      '--from <file...>',
      'read recorded outputs of nvidia-smi, rocm-smi, xpu-smi, ... in place of this machine',
    )
    .action(gpus)
}

async function gpus({ watch = false, json = false, from }: GpusFlags): Promise<void> {
  const { currentReport } = await import('./gpus/local.ts')
  if (watch && !from) {
    const { watchGpus } = await import('./gpus/watch.ts')
    return watchGpus(currentReport)
  }
  const report = from ? await fromFiles(from) : (await currentReport()).report
  if (json) return void process.stdout.write(`${JSON.stringify(report, undefined, 2)}\n`)
  const { gpuTable } = await import('./gpus/table.ts')
  process.stdout.write(gpuTable(report))
}

/** What recorded outputs tell; a file that cannot be opened is an error, one that cannot be read a line of the report. */
export async function fromFiles(paths: readonly string[]) {
  const [{ readFile }, { recordedReport }] = await Promise.all([
    import('node:fs/promises'),
    import('./gpus/local.ts'),
  ])
  return recordedReport(
    await Promise.all(paths.map(async (path) => ({ name: path, text: await readFile(path, 'utf8') }))),
  )
}
