import { Command, Option } from 'commander'
import type { UnitPlan } from './units/unit-files.ts'

interface UnitsFlags {
  perGpu?: boolean
  devices?: string
  user?: string
  output?: string
  engine: 'drover' | 'ollama'
}

const firstPort = 11_435

export function unitsCommand(): Command {
  return new Command('units')
    .description('Write systemd units: one service for Drover, or one for each GPU')
    .option('--per-gpu', 'one service for each GPU that was found, on ports from 11435')
    .option('--devices <list>', 'one service for each of these GPUs: UUIDs, PCI addresses, or numbers')
    .option('--user <name>', 'whom the services run as (default: who runs this)')
    .option('--output <folder>', 'where to write them (default: print them)')
    .addOption(
      new Option('--engine <name>', 'what the services run: Drover, or Ollama')
        .choices(['drover', 'ollama'])
        .default('drover'),
    )
    .action(units)
}

async function units(flags: UnitsFlags): Promise<void> {
  const [{ unitsFor }, { installLines }, { accountOf, modelsDirOf, programsAndGroups, writeFiles }] =
    await Promise.all([
      import('./units/unit-files.ts'),
      import('./units/install-lines.ts'),
      import('./units/surroundings.ts'),
    ])
  const { homeDir, exists, name: user } = accountOf(flags.user)
  const plan: UnitPlan = {
    engine: flags.engine,
    devices: await devicesOf(flags),
    user,
    homeDir,
    modelsDir: modelsDirOf(user, homeDir),
    firstPort,
    ...programsAndGroups(),
  }
  const made = unitsFor(plan)
  const folder = flags.output ?? '.'
  const install = installLines(made, { ...plan, userExists: exists }, folder)
  const hint =
    plan.devices.length > 1
      ? [
          '# One Drover before them all:',
          `#   DROVER_OLLAMA_URLS=${made.urls.join(',')} drover serve --engine ollama`,
        ]
      : []
  const lines = ['# To install them:', ...install, ...hint]
  if (flags.output === undefined) {
    const texts = made.files.map(({ path, text }) => `# /etc/systemd/system/${path}\n${text}`)
    process.stdout.write(texts.join('\n'))
    // Beside the units, which may go into a file.
    process.stderr.write(`${['# To have them in a folder: --output FOLDER', ...lines].join('\n')}\n`)
    return
  }
  await writeFiles(flags.output, made.files)
  const written = made.files.map(({ path }) => `wrote ${flags.output}/${path}`)
  process.stdout.write(`${[...written, ...lines].join('\n')}\n`)
}

async function devicesOf({ perGpu = false, devices }: UnitsFlags): Promise<UnitPlan['devices']> {
  if (!perGpu && devices === undefined) return []
  const [{ createDeviceFinder, deviceProbes, factsOf, hostSystem }, { devicesNamed, usableGpus }] =
    await Promise.all([import('../hardware/index.ts'), import('./units/unit-devices.ts')])
  const found = await createDeviceFinder({ system: hostSystem, probes: deviceProbes, factsOf }).find()
  const names = devices?.split(',').flatMap((name) => name.trim() || [])
  const chosen = names ? devicesNamed(names, found.devices) : usableGpus(found.devices)
  if (chosen.length > 0) return chosen
  const problems = found.problems.map((problem) => `\n  ${problem}`).join('')
  throw new Error(`no GPU was found: name those of the machine with --devices${problems}`)
}
