import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { spawnGuarded } from './index.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-spawn-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

function start(command: string, onOutput: (text: string) => void = () => undefined) {
  return spawnGuarded({
    file: '/bin/sh',
    args: ['-c', command],
    removePaths: [],
    onOutput: (chunk) => onOutput(String(chunk)),
  })
}

describe('a guarded process', () => {
  it('is the program itself, with its arguments, its output and its exit code', async () => {
    let output = ''
    const child = spawnGuarded({
      file: '/bin/sh',
      args: ['-c', 'echo "$$ $1"; echo second >&2; exit 7', 'sh', 'two words'],
      removePaths: [],
      onOutput: (chunk) => {
        output += String(chunk)
      },
    })
    expect(await child.exited).toEqual({ code: 7, signal: null })
    expect(output).toContain(`${child.pid} two words\n`)
    expect(output).toContain('second\n')
  })

  it('ends by SIGTERM when it heeds it, and by SIGKILL when it does not', async () => {
    const gentle = start('sleep 60')
    await gentle.terminate(5_000)
    expect(await gentle.exited).toEqual({ code: null, signal: 'SIGTERM' })

    let ready: () => void = () => undefined
    const isReady = new Promise<void>((resolve) => {
      ready = resolve
    })
    const stubborn = start('trap "" TERM; echo ready; while :; do sleep 0.05; done', () => ready())
    await isReady
    await stubborn.terminate(100)
    expect(await stubborn.exited).toEqual({ code: null, signal: 'SIGKILL' })
  })

  it('takes what it started along when it is ended', async () => {
    let grandchild = 0
    const child = start('sleep 60 & echo $!; wait', (text) => {
      grandchild = Number(text)
    })
    await until(() => grandchild > 0)
    await child.terminate(1_000)
    await until(() => !isAlive(grandchild))
    expect(isAlive(grandchild)).toBe(false)
  })

  it('says with exit code 127 that the program is not there', async () => {
    const child = spawnGuarded({
      file: '/nowhere/engine',
      args: [],
      removePaths: [],
      onOutput: () => undefined,
    })
    expect((await child.exited).code).toBe(127)
  })
})

describe('after kill -9 of the process that started it', () => {
  it.each([
    ['a well-behaved engine', 'sleep 60'],
    ['an engine that ignores SIGTERM', 'trap "" TERM; while :; do sleep 0.05; done'],
  ])('%s, its files and their empty folder are gone within five seconds', async (_name, command) => {
    const runDir = join(folder, 'run')
    const files = join(runDir, 'instance')
    await mkdir(files, { recursive: true })
    await writeFile(join(files, 'engine.sock'), '')
    const script = `
      import { spawnGuarded } from ${JSON.stringify(join(import.meta.dirname, 'index.ts'))}
      const child = spawnGuarded({ file: '/bin/sh', args: ['-c', ${JSON.stringify(`echo up; ${command}`)}],
        removePaths: [${JSON.stringify(files)}], onOutput: () => console.log(child.pid) })
      setInterval(() => {}, 1000)`
    const owner = spawn(process.execPath, ['--input-type=module-typescript', '-e', script], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(owner.stdout, 'data')
    const enginePid = Number(line)
    expect(isAlive(enginePid)).toBe(true)

    owner.kill('SIGKILL')
    const killedMs = performance.now()
    await until(async () => !isAlive(enginePid) && !(await exists(runDir)))
    expect(performance.now() - killedMs).toBeLessThan(5_000)
  })
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = performance.now() + 5_000; !(await condition()); await sleep(20)) {
    if (performance.now() > deadline) throw new Error('it did not come about within 5 s')
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
