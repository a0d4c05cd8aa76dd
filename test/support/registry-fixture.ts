import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest'
import type { Progress } from '../../src/models/index.ts'
import { type DockerRegistry, startDockerRegistry } from './docker-registry.ts'
import { type HostileProxy, type ProxiedRequest, startHostileProxy } from './hostile-proxy.ts'
import { allOf, contentOf, openRegistry, writeRandomModel } from './registry-models.ts'

export const never = new AbortController().signal
export const insecure = { insecure: true }
export const weightBytes = 2_000_000

/** A registry, a proxy before it, and two stores: one with a new model of random bytes, one empty. */
export interface RegistryFixture {
  proxy: HostileProxy
  folder: string
  /** The store that models are pushed from, and the one that they are pulled into. */
  source: string
  target: string
  /** Of the model; another one for every test, since the registry keeps what it has. */
  name: string
  /** Digest of its largest blob. */
  weights: string
  push(name?: string): Promise<Progress[]>
  pull(name?: string): Promise<Progress[]>
  isWeights(request: ProxiedRequest): boolean
  /** A request for a part of the weights; not the one that asks where they are. */
  isPart(request: ProxiedRequest): boolean
  /** The ranges that were asked for of the weights. */
  ranges(): (string | undefined)[]
  /** Both stores have the same files, with the same bytes. */
  expectWhole(): Promise<void>
}

/** Has all that made before every test of a file, and removed behind it. */
export function useRegistry(): RegistryFixture {
  let docker: DockerRegistry
  let count = 0
  const fixture = {} as RegistryFixture
  Object.assign(fixture, {
    push: async (name = fixture.name) =>
      allOf((await openRegistry(fixture.source)).registry.push(name, insecure, never)),
    pull: async (name = fixture.name) =>
      allOf((await openRegistry(fixture.target)).registry.pull(name, insecure, never)),
    isWeights: ({ method, path }) => method === 'GET' && path.endsWith(fixture.weights),
    isPart: (request) => fixture.isWeights(request) && request.headers.range !== 'bytes=0-0',
    ranges: () => fixture.proxy.requests.filter(fixture.isPart).map(({ headers }) => headers.range),
    expectWhole: async () => {
      expect(await contentOf(fixture.target)).toEqual(await contentOf(fixture.source))
    },
  } satisfies Partial<RegistryFixture>)

  beforeAll(async () => {
    docker = await startDockerRegistry()
  })
  afterAll(() => docker.stop())
  beforeEach(async () => {
    fixture.folder = await mkdtemp(join(tmpdir(), 'drover-pull-'))
    fixture.source = join(fixture.folder, 'source')
    fixture.target = join(fixture.folder, 'target')
    fixture.proxy = await startHostileProxy(docker.host)
    fixture.name = `${fixture.proxy.host}/some/model${count++}:q4`
    fixture.weights = await writeRandomModel(fixture.source, fixture.name, weightBytes)
  })
  afterEach(async () => {
    await fixture.proxy.stop()
    await rm(fixture.folder, { recursive: true, force: true })
  })
  return fixture
}
