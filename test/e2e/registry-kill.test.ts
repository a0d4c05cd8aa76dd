import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DockerRegistry, digestOf, startDockerRegistry } from '../support/docker-registry.ts'
import { type HostileProxy, startHostileProxy } from '../support/hostile-proxy.ts'
import {
  allOf,
  contentOf,
  manifestPath,
  openRegistry,
  partialsOf,
  writeRandomModel,
} from '../support/registry-models.ts'

/** `DROVER_TEST_KILLS=1000` for a long night. */
const kills = Number(process.env['DROVER_TEST_KILLS'] ?? 20)

const program = fileURLToPath(new URL('../support/registry-pull.ts', import.meta.url))

let docker: DockerRegistry
let proxy: HostileProxy
let folder: string
let source: string
let target: string
let name: string

beforeAll(async () => {
  docker = await startDockerRegistry()
  proxy = await startHostileProxy(docker.host)
  folder = await mkdtemp(join(tmpdir(), 'drover-kill-'))
  source = join(folder, 'source')
  target = join(folder, 'target')
  name = `${proxy.host}/some/model:latest`
  await writeRandomModel(source, name, 1_500_000)
  const { registry } = await openRegistry(source)
  await allOf(registry.push(name, { insecure: true }, new AbortController().signal))
})
afterAll(async () => {
  await proxy.stop()
  await docker.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Starts a pull and kills it after so long; true when it had ended well before. */
async function pullKilledAfter(delayMs: number): Promise<boolean> {
  const child = spawn(process.execPath, [program, target, name], { stdio: ['ignore', 'pipe', 'pipe'] })
  const closed = once(child, 'close') as Promise<[number | null]>
  let errors = ''
  child.stderr.on('data', (data) => {
    errors += data
  })
  await Promise.race([once(child.stdout, 'data'), closed])
  await Promise.race([sleep(delayMs), closed])
  child.kill('SIGKILL')
  const [code] = await closed
  if (code !== null && code !== 0) throw new Error(errors)
  return code === 0
}

/** What may never be: a blob of another digest, or a manifest whose blobs are not there. */
async function expectNothingBroken(): Promise<void> {
  const blobs = await readdir(join(target, 'blobs')).catch(() => [])
  const whole = blobs.filter((file) => /^sha256-[0-9a-f]{64}$/.test(file))
  for (const file of whole) {
    expect(digestOf(await readFile(join(target, 'blobs', file)))).toBe(file.replace('-', ':'))
  }
  const path = manifestPath(target, name)
  const manifest = existsSync(path) ? await readFile(path, 'utf8') : undefined
  if (manifest === undefined) return
  const { layers, config } = JSON.parse(manifest)
  for (const { digest } of [...layers, config]) expect(whole).toContain(digest.replace(':', '-'))
}

it(
  `a pull killed ${kills} times at any moment breaks nothing, and the last one leaves nothing behind`,
  async () => {
    proxy.mischief = ({ path }) => (path.includes('/blobs/') ? { bytesPerSecond: 4_000_000 } : undefined)
    let ended = 0
    let resumed = 0
    for (let count = 0; count < kills; count++) {
      if (await pullKilledAfter(Math.random() * 120)) {
        ended++
        expect(await contentOf(target)).toEqual(await contentOf(source))
        await rm(target, { recursive: true })
      } else {
        await expectNothingBroken()
        const left = await partialsOf(target).catch(() => [])
        if (left.length > 0) resumed++
      }
    }
    expect(await pullKilledAfter(60_000)).toBe(true)
    expect(await contentOf(target)).toEqual(await contentOf(source))
    expect(await partialsOf(target)).toEqual([])
    expect(ended).toBeLessThan(kills)
    expect(resumed).toBeGreaterThan(0)
  },
  60_000 + kills * 2000,
)
