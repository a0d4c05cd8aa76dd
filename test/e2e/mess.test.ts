import { chmod, mkdir, mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import {
  descendants,
  getJson,
  isAlive,
  post,
  runDrover,
  startDrover,
  type TestDrover,
  until,
} from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { quietLog } from '../support/quiet-log.ts'

const started: TestDrover[] = []
const folders: string[] = []
afterEach(async () => {
  for (const drover of started.splice(0)) {
    drover.process.kill('SIGKILL')
    await drover.exited
  }
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

async function start(...args: Parameters<typeof startDrover>): Promise<TestDrover> {
  const drover = await startDrover(...args)
  started.push(drover)
  return drover
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'drover-mess-'))
  folders.push(folder)
  return folder
}

const story = { model: 'drover', messages: [{ role: 'user', content: 'Tell me a story.' }], think: false }

/** A model that talks for a long time, in a store of its own. */
async function storeOfTalker(): Promise<string> {
  const modelsDir = await temporaryFolder()
  const store = await openStore({ root: modelsDir, log: quietLog })
  const path = join(modelsDir, 'talker.gguf')
  await writeSyntheticGguf(path, {
    architecture: 'llama',
    layers: 2,
    dim: 64,
    heads: 2,
    context: 8192,
    endless: true,
    seed: 5,
  })
  await store.importGguf('talker', { path })
  return modelsDir
}

describe.each(bothEngines)('shutting down with the %s engine', (engine) => {
  it('SIGTERM lets a running answer end, and exits 0 with nothing left', async () => {
    const drover = await start({ env: await engineEnv(engine) })
    const answer = post(`${drover.url}/api/chat`, { ...story, stream: false })
    await until('the model is loaded', 30_000, () => drover.output().includes('model loaded'))
    const children = await descendants(drover.pid)
    expect(children.length).toBeGreaterThan(0)
    expect(await drover.stop()).toBe(0)
    expect(JSON.parse((await answer).text)).toMatchObject({ done: true })
    await until('the engines are gone', 2000, () => !children.some(isAlive))
    expect(await runDirsOf(drover.pid)).toEqual([])
  })

  it('a second SIGTERM hurries', async () => {
    const drover = await start({
      modelsDir: await storeOfTalker(),
      demo: false,
      env: await engineEnv(engine),
    })
    const body = { model: 'talker', prompt: 'x', raw: true, options: { num_predict: 50_000, num_ctx: 8192 } }
    const answer = post(`${drover.url}/api/generate`, body).catch((error) => error)
    await until('the model is loaded', 30_000, () => drover.output().includes('model loaded'))
    drover.process.kill('SIGTERM')
    await until('it stops', 10_000, () => drover.output().includes('again to hurry'))
    // Signals that come close together are one.
    await new Promise((resolve) => setTimeout(resolve, 500))
    expect(isAlive(drover.pid)).toBe(true)
    const begun = Date.now()
    drover.process.kill('SIGTERM')
    await drover.exited
    expect(Date.now() - begun).toBeLessThan(6000)
    await answer
  })

  it('kill -9 leaves no engine process, no port and no temporary file within 5 seconds', async () => {
    const drover = await start({ env: await engineEnv(engine) })
    await post(`${drover.url}/api/chat`, { ...story, stream: false })
    const children = await descendants(drover.pid)
    expect(children.length).toBeGreaterThan(0)
    drover.process.kill('SIGKILL')
    await until('all engine processes are gone', 5000, () => !children.some(isAlive))
    await until('the temporary files are gone', 5000, async () => (await runDirsOf(drover.pid)).length === 0)
    await expect(fetch(drover.url)).rejects.toThrow()
  })
})

/** Temporary folders that carry this process's name. */
async function runDirsOf(pid: number): Promise<string[]> {
  return (await readdir(tmpdir())).filter((name) => name.startsWith(`drover-${pid}-`))
}

describe('a machine that is not as it should be', () => {
  it('says who may be using the port', async () => {
    const squatter = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => squatter.once('listening', resolve))
    const address = squatter.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { code, stderr } = await runDrover(['serve'], {
      OLLAMA_HOST: `127.0.0.1:${port}`,
      HOME: await temporaryFolder(),
    })
    squatter.close()
    expect(code).toBe(1)
    expect(stderr).toMatch(new RegExp(`127\\.0\\.0\\.1:${port} is in use`))
  })

  it('names a store that it cannot read', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'models')
    await writeFile(file, 'not a folder')
    const { code, stderr } = await runDrover(['serve', '--demo'], {
      OLLAMA_HOST: '127.0.0.1:0',
      OLLAMA_MODELS: file,
      HOME: folder,
    })
    expect(code).toBe(1)
    expect(stderr).toContain(file)
  })

  it('refuses a bad configuration by file and field', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'drover.yaml')
    await writeFile(file, 'maxQueue: lots\n')
    const { code, stderr } = await runDrover(['serve', '--config', file], { HOME: folder })
    expect(code).toBe(1)
    expect(stderr).toContain(file)
    expect(stderr).toContain('maxQueue')
  })

  it('says what is wrong with a corrupt model file, and serves the others', async () => {
    const drover = await start({ env: { DROVER_ENGINE: 'embedded' } })
    const store = await openStore({ root: drover.modelsDir, log: quietLog })
    const path = join(drover.modelsDir, 'broken.gguf')
    await writeSyntheticGguf(path, {
      architecture: 'llama',
      layers: 2,
      dim: 64,
      heads: 2,
      context: 512,
      seed: 9,
    })
    const stored = await store.importGguf('broken', { path })
    await truncate(stored.modelPath, 5000)
    const answer = await post(`${drover.url}/api/generate`, { model: 'broken', prompt: 'x' })
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.text).error).toContain(stored.modelPath)
    const good = await post(`${drover.url}/api/chat`, { ...story, stream: false })
    expect(good.status).toBe(200)
  })

  it('refuses a model that is bigger than the memory, with what it needs', async () => {
    const drover = await start({ env: { DROVER_ENGINE: 'embedded' } })
    const store = await openStore({ root: drover.modelsDir, log: quietLog })
    const path = join(drover.modelsDir, 'small.gguf')
    await writeSyntheticGguf(path, {
      architecture: 'llama',
      layers: 2,
      dim: 64,
      heads: 2,
      context: 512,
      seed: 9,
    })
    const stored = await store.importGguf('huge', { path })
    await writeSyntheticGguf(
      stored.modelPath,
      { architecture: 'llama', layers: 200, dim: 16_384, heads: 128, context: 4096, seed: 9 },
      { sparse: true },
    )
    const answer = await post(`${drover.url}/api/generate`, { model: 'huge', prompt: 'x' })
    expect(answer.status).toBe(500)
    expect(JSON.parse(answer.text).error).toMatch(/huge.*needs .*GiB/)
  })

  it('lists the rest of a store with a broken manifest', async () => {
    const drover = await start({ env: { DROVER_ENGINE: 'embedded' } })
    const folder = join(drover.modelsDir, 'manifests/registry.ollama.ai/library/bad')
    await mkdir(folder, { recursive: true })
    await writeFile(join(folder, 'latest'), '{"layers":')
    const tags = await getJson<{ models: { name: string }[] }>(`${drover.url}/api/tags`)
    expect(tags.models.map((model) => model.name)).toEqual(['drover:latest'])
    await chmod(folder, 0o755)
  })
})

describe('clients that misbehave', () => {
  it('a body of 100 MB gets an answer and costs no memory afterwards', async () => {
    const drover = await start({ env: { DROVER_ENGINE: 'embedded' } })
    const body = JSON.stringify({ model: 'nope', prompt: 'x'.repeat(100_000_000) })
    const { status } = await post(`${drover.url}/api/generate`, body)
    expect([404, 413]).toContain(status)
    expect((await post(`${drover.url}/api/chat`, { ...story, stream: false })).status).toBe(200)
  })

  it('one that never reads holds up nobody else', async () => {
    const drover = await start({
      modelsDir: await storeOfTalker(),
      demo: false,
      env: { DROVER_ENGINE: 'embedded', OLLAMA_NUM_PARALLEL: '2' },
    })
    const { port } = new URL(drover.url)
    const body = JSON.stringify({
      model: 'talker',
      prompt: 'x',
      raw: true,
      options: { num_predict: 40_000, num_ctx: 8192 },
    })
    const socket = connect(Number(port), '127.0.0.1')
    socket.pause()
    socket.write(
      `POST /api/generate HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    )
    await until('the model is loaded', 30_000, () => drover.output().includes('model loaded'))
    const other = await post(`${drover.url}/api/generate`, {
      model: 'talker',
      prompt: 'x',
      stream: false,
      options: { num_predict: 20 },
    })
    expect(other.status).toBe(200)
    socket.destroy()
  })

  it('one that goes away frees its slot within a second', async () => {
    const drover = await start({
      modelsDir: await storeOfTalker(),
      demo: false,
      env: { DROVER_ENGINE: 'embedded', OLLAMA_NUM_PARALLEL: '1' },
    })
    const abort = new AbortController()
    const response = await fetch(`${drover.url}/api/generate`, {
      method: 'POST',
      body: JSON.stringify({
        model: 'talker',
        prompt: 'x',
        raw: true,
        options: { num_predict: 40_000, num_ctx: 8192 },
      }),
      signal: abort.signal,
    })
    await response.body?.getReader().read()
    abort.abort()
    const begun = Date.now()
    const next = await post(`${drover.url}/api/generate`, {
      model: 'talker',
      prompt: 'x',
      stream: false,
      options: { num_predict: 1 },
    })
    expect(next.status).toBe(200)
    expect(Date.now() - begun).toBeLessThan(1000)
  })
})
