import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { type Fault, type HostileProxy, startHostileProxy } from '../support/hostile-proxy.ts'
import { allOf, contentOf, openRegistry, partialsOf, writeRandomModel } from '../support/registry-models.ts'

/** `DROVER_TEST_CHAOS=1000` for a long night. */
const rounds = Number(process.env['DROVER_TEST_CHAOS'] ?? 8)
/** Bad luck has an end: with these odds a pull gets through in fewer attempts. */
const mostAttempts = 50

const never = new AbortController().signal

let docker: DockerRegistry
let proxy: HostileProxy
let folder: string
let source: string
let name: string

beforeAll(async () => {
  docker = await startDockerRegistry()
  proxy = await startHostileProxy(docker.host)
  folder = await mkdtemp(join(tmpdir(), 'drover-chaos-'))
  source = join(folder, 'source')
  name = `${proxy.host}/some/model:latest`
  await writeRandomModel(source, name, 1_000_000)
  await allOf((await openRegistry(source)).registry.push(name, { insecure: true }, never))
})
afterAll(async () => {
  await proxy.stop()
  await docker.stop()
  await rm(folder, { recursive: true, force: true })
})

/**
 * Any of the things that go wrong between machines, for every second answer. Manifests are spared one: nothing says
 * what their digest should be, so that over plain HTTP a changed one cannot be told.
 */
function anyFault({ path }: { path: string }): Fault | undefined {
  const at = Math.floor(Math.random() * 300_000)
  const faults: Fault[] = [
    { cutAt: at },
    { cutAt: at },
    { cutAt: 0 },
    path.includes('/blobs/') ? { corruptAt: at * 4 } : { cutAt: at },
    { delayMs: Math.random() * 50 },
    { status: 500 + Math.floor(Math.random() * 5), body: 'some page' },
    { status: 416, body: 'no such range' },
    { status: 401, body: 'who is there' },
    { status: 429, body: 'slow down' },
  ]
  if (Math.random() < 0.01) return { stallAt: at }
  return Math.random() < 0.5 ? faults[Math.floor(Math.random() * faults.length)] : undefined
}

/** What a pull may fail with on such a way; anything else is a mistake of ours. */
const reasons =
  /^(pull model manifest: (.*sent something else than a manifest|Get ".*|\d{3}: .*|unauthorized: access denied)|digest mismatch, file must be downloaded again: .*|max retries exceeded: .*|\d{3}: .*|unauthorized: access denied)/

it(
  `${rounds} pulls over a broken line all end with the model, and never with anything else`,
  async () => {
    for (let round = 0; round < rounds; round++) {
      const target = join(folder, `target${round}`)
      proxy.mischief = anyFault
      for (let attempt = 1; ; attempt++) {
        const { registry } = await openRegistry(target, { retryDelayMs: 1 })
        const error = await allOf(registry.pull(name, { insecure: true }, never)).then(
          () => undefined,
          (thrown: Error) => thrown,
        )
        if (error === undefined) break
        expect(error.message).toMatch(reasons)
        expect(attempt).toBeLessThan(mostAttempts)
      }
      expect(await contentOf(target)).toEqual(await contentOf(source))
      expect(await partialsOf(target)).toEqual([])
      await rm(target, { recursive: true })
    }
    expect(proxy.requests.length).toBeGreaterThan(rounds * 10)
  },
  60_000 + rounds * 5000,
)
