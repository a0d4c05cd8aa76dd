import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DeviceReport } from '../../src/api/index.ts'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import {
  descendants,
  getJson,
  isAlive,
  post,
  startDrover,
  type TestDrover,
  until,
} from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { ensureLlamaServer } from '../support/llama-server.ts'
import { quietLog } from '../support/quiet-log.ts'

/** How often an engine is killed; hundreds in a long run (`DROVER_TEST_ROUNDS`). */
const rounds = Number(process.env['DROVER_TEST_ROUNDS'] ?? 4)
const hangTimeoutMs = 1500

/** `DROVER_DEVICES` and friends for two instances of one slot each. */
const twoDevices = {
  DROVER_DEVICES: 'cpu:0,cpu:1',
  OLLAMA_NUM_PARALLEL: '1',
  DROVER_JOIN_REQUESTS: 'false',
}

async function readyPids(drover: TestDrover): Promise<number[]> {
  const { devices } = await getJson<DeviceReport>(`${drover.url}/api/devices`)
  const ready = devices.flatMap(({ instances }) => instances.filter(({ state }) => state === 'ready'))
  return [...new Set(ready.map(({ pid }) => pid))]
}

function endsOf(drover: TestDrover): { kind: string; reason: string; time: string }[] {
  return drover
    .output()
    .split('\n')
    .filter((line) => line.includes('"msg":"engine ended"'))
    .map((line) => JSON.parse(line) as { kind: string; reason: string; time: string })
}

/** Children that have ended and were not waited for. */
async function zombiesOf(drover: TestDrover): Promise<number[]> {
  const below = await descendants(drover.pid)
  const states = await Promise.all(
    below.map(async (pid) => ({ pid, stat: await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '') })),
  )
  return states.filter(({ stat }) => / Z /.test(stat)).map(({ pid }) => pid)
}

async function openFilesOf(drover: TestDrover): Promise<number> {
  return (await readdir(`/proc/${drover.pid}/fd`)).length
}

describe.each(bothEngines)('an engine that fails, on the %s engine', (engine) => {
  let drover: TestDrover
  beforeAll(async () => {
    drover = await startDrover({
      env: { ...(await engineEnv(engine)), ...twoDevices, DROVER_HANG_TIMEOUT: `${hangTimeoutMs}ms` },
    })
    await bothUp()
  })
  afterAll(() => drover.stop())

  const ask = (prompt = 'What is the capital of France?') =>
    post(`${drover.url}/api/generate`, {
      model: 'drover',
      prompt,
      stream: false,
      options: { temperature: 0, seed: 1 },
    })

  async function bothUp(): Promise<void> {
    await until('two instances are up', 20_000, async () => {
      await Promise.all([ask(), ask(), ask()])
      return (await readyPids(drover)).length === 2
    })
  }

  it('by kill -9 is seen at once, and its requests are answered by the other and its successor', async () => {
    const reference = JSON.parse((await ask()).text).response
    const files: number[] = []
    for (let round = 0; round < rounds; round++) {
      await bothUp()
      const [victim = 0] = await readyPids(drover)
      const before = endsOf(drover).length
      const asked = [1, 2, 3, 4, 5, 6].map(() => ask())
      process.kill(victim, 'SIGKILL')
      const killedAtMs = performance.now()
      await until('the end is noticed', 2000, () => endsOf(drover).length > before)
      expect(performance.now() - killedAtMs).toBeLessThan(2000)
      for (const answer of await Promise.all(asked)) {
        expect(answer.status, answer.text).toBe(200)
        expect(JSON.parse(answer.text).response).toBe(reference)
      }
      expect(await zombiesOf(drover)).toEqual([])
      files.push(await openFilesOf(drover))
    }
    const late = files.slice(-3)
    expect(Math.min(...late), `open files by round: ${files}`).toBeLessThanOrEqual((files[0] ?? 0) + 12)
  })

  it('by hanging is ended within its timeout, and its request is answered by another', async () => {
    await post(`${drover.url}/api/restart`, { model: 'drover' })
    await bothUp()
    const pids = await readyPids(drover)
    const before = endsOf(drover).length
    process.kill(pids[0] ?? 0, 'SIGSTOP')
    const answers = await Promise.all([ask(), ask(), ask()])
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    // A busy machine that runs tests has delays of its own.
    await until('the hang is noticed', hangTimeoutMs + 4000, () => endsOf(drover).length > before)
    expect(endsOf(drover).at(-1)).toMatchObject({
      kind: 'hung',
      reason: expect.stringContaining('did not answer'),
    })
    await until('the process is gone', 2000, () => !isAlive(pids[0] ?? 0))
  })
})

describe('an engine that cannot do what it should', () => {
  let home: string
  let server: string
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'drover-faults-'))
    server = await ensureLlamaServer()
  })
  afterAll(() => rm(home, { recursive: true }))

  /** A program in llama-server's place: itself when it is only asked what it is, `otherwise` when it is to serve. */
  async function wrapper(name: string, otherwise: string): Promise<string> {
    const path = join(home, name)
    const script = `#!/bin/sh\nfor word in "$@"; do case $word in --version|--help|--list-devices) exec '${server}' "$@";; esac; done\n${otherwise}\n`
    await writeFile(path, script)
    await chmod(path, 0o755)
    return path
  }

  const ask = (drover: TestDrover, more: object = {}) =>
    post(`${drover.url}/api/generate`, { model: 'drover', prompt: 'hello', stream: false, ...more })

  it('for want of memory is started again with less of it', async () => {
    const modelsDir = join(home, 'models')
    await mkdir(modelsDir, { recursive: true })
    const store = await openStore({ root: modelsDir, log: quietLog })
    const gguf = join(home, 'wide.gguf')
    // 64 KiB of keys and values a token: four slots of 8192 tokens take 2 GiB, one of 4096 takes 256 MiB.
    await writeSyntheticGguf(gguf, {
      architecture: 'llama',
      layers: 8,
      dim: 2048,
      heads: 8,
      context: 8192,
      endless: true,
    })
    await store.importGguf('wide', { path: gguf })
    await rm(gguf)
    const drover = await startDrover({
      modelsDir,
      demo: false,
      env: {
        DROVER_ENGINE: 'llama.cpp',
        DROVER_LLAMA_SERVER: await wrapper('limited', `ulimit -v 2200000\nexec '${server}' "$@"`),
        OLLAMA_CONTEXT_LENGTH: '8192',
      },
    })
    try {
      const answer = await ask(drover, { model: 'wide', options: { num_predict: 3 } })
      expect(answer.status, answer.text).toBe(200)
      const failed = drover.output().match(/"code":"insufficient_memory"/g) ?? []
      expect(failed.length).toBeGreaterThan(0)
      const { models } = await getJson<{ models: { context_length: number }[] }>(`${drover.url}/api/ps`)
      expect(models[0]?.context_length).toBeGreaterThanOrEqual(2048)
    } finally {
      await drover.stop()
    }
  })

  it('because its program prints garbage is refused with a readable reason, again and again', async () => {
    const drover = await startDrover({
      env: {
        DROVER_ENGINE: 'llama.cpp',
        DROVER_LLAMA_SERVER: await wrapper('garbage', 'head -c 3000000 /dev/urandom; exit 3'),
      },
    })
    try {
      for (let round = 0; round < 3; round++) {
        const startMs = performance.now()
        const { status, text } = await ask(drover)
        expect(status).toBe(500)
        expect(performance.now() - startMs).toBeLessThan(2000)
        const { error } = JSON.parse(text) as { error: string }
        expect(error.length).toBeLessThan(1000)
        expect(error).toMatch(/exit code 3/)
        expect(error).not.toMatch(/\p{Cc}/u)
      }
      await until('no process is left', 2000, async () => (await descendants(drover.pid)).length === 0)
    } finally {
      await drover.stop()
    }
  })

  it('because its program is none is refused at the probe, and the embedded engine takes its place', async () => {
    const path = join(home, 'none')
    await writeFile(path, '#!/bin/sh\nhead -c 100000 /dev/urandom\n')
    await chmod(path, 0o755)
    const drover = await startDrover({ env: { DROVER_LLAMA_SERVER: path } })
    try {
      expect((await ask(drover)).status).toBe(200)
      expect(drover.output()).toContain('"engine":"embedded"')
    } finally {
      await drover.stop()
    }
  })

  it('because its socket was deleted is started anew once its open connections are over', async () => {
    const folder = join(home, 'swept')
    await mkdir(folder)
    const drover = await startDrover({
      env: { DROVER_ENGINE: 'llama.cpp', DROVER_LLAMA_SERVER: server, TMPDIR: folder },
    })
    try {
      expect((await ask(drover)).status).toBe(200)
      const [pid] = await readyPids(drover)
      for (const name of await readdir(folder)) await rm(join(folder, name), { recursive: true })
      await until('it is noticed', 20_000, () => endsOf(drover).length > 0)
      expect(endsOf(drover).at(-1)?.reason).toContain('cannot be reached')
      expect((await ask(drover)).status).toBe(200)
      expect(await readyPids(drover)).not.toContain(pid)
    } finally {
      await drover.stop()
    }
  })

  it('because the disk is full is refused with what to do, and works once there is room', async () => {
    const folder = join(home, 'full')
    await mkdir(folder)
    const drover = await startDrover({
      env: { DROVER_ENGINE: 'llama.cpp', DROVER_LLAMA_SERVER: server, TMPDIR: folder },
    })
    try {
      // A folder that is a file: nothing can be made in it, as on a full disk.
      await rm(folder, { recursive: true })
      await writeFile(folder, '')
      const refused = await ask(drover)
      expect(refused.status).toBe(500)
      expect(JSON.parse(refused.text).error).toContain(folder)
      await rm(folder)
      await mkdir(folder)
      expect((await ask(drover)).status).toBe(200)
    } finally {
      await drover.stop()
    }
  })
})
