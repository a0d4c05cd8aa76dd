import { Command } from 'commander'

interface TopologyFlags {
  svg?: string
  json?: boolean
  from?: string[]
}

export function topologyCommand(): Command {
  return new Command('topology')
    .alias('topo')
    .description('How the devices are linked: class and speed of each link, NUMA nodes, PCIe')
    .option('--svg <file>', 'draw it into a file')
    .option('--json', 'Print as JSON')
    .option(
      '--from <file...>',
      'read recorded outputs of nvidia-smi, rocm-smi, xpu-smi, ... in place of this machine',
    )
    .action(topology)
}

async function topology({ svg, json = false, from }: TopologyFlags): Promise<void> {
  const [{ currentReport }, { fromFiles }, { buildTopology, drawSvg, drawText }] = await Promise.all([
    import('./gpus/local.ts'),
    import('./gpus.ts'),
    import('../hardware/index.ts'),
  ])
  const report = from ? await fromFiles(from) : (await currentReport()).report
  const built = buildTopology(report.devices, report.links)
  if (svg !== undefined) {
    const { writeFile } = await import('node:fs/promises')
    await writeFile(svg, drawSvg(built))
    return void process.stdout.write(`${svg} shows ${built.devices.length} devices\n`)
  }
  if (json) return void process.stdout.write(`${JSON.stringify(built, undefined, 2)}\n`)
  process.stdout.write(drawText(built) + report.problems.map((problem) => `! ${problem}\n`).join(''))
}
