import { type ChildProcess, spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))
const launcher = join(root, 'bin/drover.js')

/** Makes a Node believe that it is an old one: what the launcher then starts does not inherit this. */
const asOldNode = [
  '--import',
  `data:text/javascript,${encodeURIComponent("Object.defineProperty(process.versions, 'node', { value: '20.1.0' })")}`,
]

const folders: string[] = []
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-launcher-'))
  folders.push(folder)
  return folder
}

function start(args: readonly string[], nodeArgs: readonly string[] = []): Started {
  const child = spawn(process.execPath, [...nodeArgs, ...args], { stdio: ['pipe', 'pipe', 'pipe'] })
  const started = { child, stdout: '', stderr: '' }
  child.stdout.on('data', (data) => {
    started.stdout += data
  })
  child.stderr.on('data', (data) => {
    started.stderr += data
  })
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  return Object.assign(started, { ended })
}

interface Started {
  child: ChildProcess
  stdout: string
  stderr: string
  ended: Promise<{ code: number | null; signal: string | null }>
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const endsAt = performance.now() + 10_000
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`did not happen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** A package that has the launcher and, in place of Drover, a program that tells what reaches it. */
async function packageWithProbe(): Promise<string> {
  const folder = await newFolder()
  await mkdir(join(folder, 'bin'), { recursive: true })
  await mkdir(join(folder, 'src/cli'), { recursive: true })
  await mkdir(join(folder, 'node_modules/node/bin'), { recursive: true })
  await cp(launcher, join(folder, 'bin/drover.js'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  // A wrapper that becomes the Node of this test, as the bundled one would be.
  const node = join(folder, 'node_modules/node/bin/node')
  await writeFile(node, `#!/bin/sh\nexec "${process.execPath}" "$@"\n`, { mode: 0o755 })
  const program = `
    export async function main(argv: string[]): Promise<void> {
      const say = (text: string) => process.stdout.write(text + '\\n')
      for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => say(signal))
      process.stdin.on('data', (data) => {
        say('stdin ' + String(data).trim())
        if (String(data).startsWith('exit')) process.exit(7)
        if (String(data).startsWith('die')) process.kill(process.pid, 'SIGKILL')
      })
      const hangOn = setInterval(() => {}, 1000)
      process.on('SIGHUP', () => setTimeout(() => { clearInterval(hangOn); process.exit(0) }, 100))
      say('pid ' + process.pid + ' ' + argv.slice(2).join(' ') + ' ' + Boolean(process.env.NODE_DROVER_LAUNCHED))
    }`
  await writeFile(join(folder, 'src/cli/index.ts'), program)
  return join(folder, 'bin/drover.js')
}

async function pidOf(started: Started): Promise<number> {
  await until('the program starts', () => /pid \d+/.test(started.stdout))
  return Number(/pid (\d+)/.exec(started.stdout)?.[1])
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    // No such process.
    return false
  }
}

describe('drover.js', () => {
  it('prints the version of the package', async () => {
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
    const drover = start([launcher, '--version'])
    expect(await drover.ended).toEqual({ code: 0, signal: null })
    expect(drover).toMatchObject({ stdout: `drover ${version}\n`, stderr: '' })
  })

  it('does so on an old Node too, on the Node that came with the package', async () => {
    const drover = start([launcher, '--version'], asOldNode)
    expect(await drover.ended).toEqual({ code: 0, signal: null })
    expect(drover.stdout).toMatch(/^drover \d/)
  })

  it('keeps the name of the link that it was started through, on an old Node too', async () => {
    const link = join(await newFolder(), 'ollama')
    await symlink(launcher, link)
    for (const nodeArgs of [[], asOldNode]) {
      const ollama = start([link, '--help'], nodeArgs)
      expect(await ollama.ended).toEqual({ code: 0, signal: null })
      expect(ollama.stdout).toContain('Usage:\n  ollama [flags]\n  ollama [command]\n')
    }
  })

  it('says what is missing on an old Node without the bundled one', async () => {
    const folder = await newFolder()
    await cp(launcher, join(folder, 'bin/drover.js'), { recursive: true })
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    const drover = start([join(folder, 'bin/drover.js'), '--version'], asOldNode)
    expect((await drover.ended).code).toBe(1)
    expect(drover.stderr).toMatch(
      /^Error: Drover needs Node 22\.19 or newer, this is 20\.1\.0\. .*npm ci.*\n$/,
    )
  })

  it('runs in its own process when Node is new enough', async () => {
    const drover = start([await packageWithProbe(), 'serve'])
    expect(await pidOf(drover)).toBe(drover.child.pid)
    drover.child.kill('SIGKILL')
    await drover.ended
  })
})

describe('on an old Node, drover.js', () => {
  it('passes on arguments, stdin, signals and the exit code', async () => {
    const drover = start([await packageWithProbe(), 'a', 'b c'], asOldNode)
    expect(await pidOf(drover)).not.toBe(drover.child.pid)
    expect(drover.stdout).toContain(' a b c false\n')
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      drover.child.kill(signal)
      await until(`${signal} arrives`, () => drover.stdout.includes(`${signal}\n`))
    }
    drover.child.stdin?.write('exit\n')
    expect((await drover.ended).code).toBe(7)
  })

  it('ends with 128 and the signal that killed Drover', async () => {
    const drover = start([await packageWithProbe()], asOldNode)
    await pidOf(drover)
    drover.child.stdin?.write('die\n')
    expect((await drover.ended).code).toBe(137)
  })

  it('leaves no Drover behind when it is killed', async () => {
    const drover = start([await packageWithProbe()], asOldNode)
    const pid = await pidOf(drover)
    drover.child.kill('SIGKILL')
    await until('Drover ends', () => !isAlive(pid))
    expect(drover.stdout).toContain('SIGHUP\n')
  })
})
