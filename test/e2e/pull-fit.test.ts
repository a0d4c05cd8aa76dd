import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { runDrover, startDrover, type TestDrover } from '../support/drover.ts'
import { quietLog } from '../support/quiet-log.ts'
import { allOf, openRegistry } from '../support/registry-models.ts'

let registry: DockerRegistry
let drover: TestDrover
let folder = ''
let name = ''
let env: Record<string, string> = {}
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-pull-fit-'))
  registry = await startDockerRegistry()
  name = `${registry.host}/library/small`
  const root = join(folder, 'models')
  const store = await openStore({ root, log: quietLog })
  const client = await openRegistry(root)
  const types = { '1b': 'Q4_0', '1b-q8_0': 'Q8_0', '1b-q4_0': 'Q4_0', '1b-fp16': 'F16', '7b': 'F16' } as const
  for (const [tag, type] of Object.entries(types)) {
    const path = join(folder, `${tag}.gguf`)
    // Longer than the first piece that is looked at.
    await writeSyntheticGguf(path, { layers: 2, dim: 512, heads: 8, vocab: 20_000, seed: 1, type })
    await store.importGguf(`${name}:${tag}`, { path })
    await allOf(client.registry.push(`${name}:${tag}`, { insecure: true }, new AbortController().signal))
  }
  drover = await startDrover({ demo: false, env: { HOME: folder } })
  env = { HOME: folder, OLLAMA_HOST: drover.url }
}, 60_000)
afterAll(async () => {
  await registry.stop()
  expect(await drover.stop()).toBe(0)
  await rm(folder, { recursive: true, force: true })
})

describe('drover pull --fit', () => {
  it('looks at the heads of the versions that a registry has, and pulls the one that fits best', async () => {
    const { code, stdout, stderr } = await runDrover(['pull', '--fit', `${name}:1b`, '--insecure'], env)
    expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
    expect(stderr).toContain(`${name}:1b-q8_0 (Q8_0, `)
    // Two tags are the same file, and 16 bits were not asked for.
    expect(stderr).toContain('Of 2 files Q8_0 is taken')
    expect(stderr).toContain(`not ${name}:1b as Q4_0`)
    expect(stderr).toMatch(/\nsuccess\n$/)
    expect((await runDrover(['list'], env)).stdout).toContain(`${name}:1b-q8_0 `)
  })

  it('says so where the registry has none', async () => {
    const { code, stderr } = await runDrover(['pull', '--fit', `${name}:3b`, '--insecure'], env)
    expect(code).toBe(1)
    expect(stderr).toBe(
      `Error: the registry has no "${name}:3b", nor another version of it that Drover can run\n`,
    )
  })
})
