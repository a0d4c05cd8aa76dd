import { Command } from 'commander'

interface DoctorFlags {
  json?: boolean
  from?: string[]
}

export function doctorCommand(): Command {
  return new Command('doctor')
    .description('What is wrong on this machine, and how to mend it: drivers, permissions, engines, devices')
    .option('--json', 'Print as JSON')
    .option(
      '--from <file...>',
      'read recorded outputs of nvidia-smi, rocm-smi, xpu-smi, ... in place of this machine',
    )
    .action(doctor)
}

/** Ends with exit code 1 where something does not work. */
async function doctor({ json = false, from }: DoctorFlags): Promise<void> {
  const [{ gatherFacts, recordedFacts }, { countLevels, diagnose }, { formatFindings }] = await Promise.all([
    import('./doctor/facts.ts'),
    import('./doctor/checks.ts'),
    import('./doctor/format.ts'),
  ])
  const facts = from ? recordedFacts(await readFiles(from)) : await gatherFacts()
  const findings = diagnose(facts)
  const counts = countLevels(findings)
  if (counts.error > 0) process.exitCode = 1
  const { stdout, env } = process
  const { error: errors, warning: warnings, note: notes } = counts
  const colours = stdout.isTTY === true && !env['NO_COLOR']
  const text = json
    ? `${JSON.stringify({ ok: errors === 0, errors, warnings, notes, findings }, undefined, 2)}\n`
    : formatFindings(findings, { columns: stdout.columns ?? 100, colours })
  await new Promise((resolve) => stdout.write(text, resolve))
  if (facts.late.length > 0) await leave()
}

/** Programs that hang are ended, not waited for: each would hold this process until its own limit. */
async function leave(): Promise<never> {
  const { hostSystem } = await import('../hardware/index.ts')
  // Linux tells whose they are; elsewhere they end by their limit.
  const children = hostSystem.readText(`/proc/self/task/${process.pid}/children`) ?? ''
  for (const pid of children.split(' ').map(Number).filter(Boolean)) process.kill(pid, 'SIGKILL')
  process.exit()
}

async function readFiles(paths: readonly string[]): Promise<{ name: string; text: string }[]> {
  const { readFile } = await import('node:fs/promises')
  return Promise.all(paths.map(async (path) => ({ name: path, text: await readFile(path, 'utf8') })))
}
