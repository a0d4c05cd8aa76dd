import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, utimes } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openStore } from '../../src/models/index.ts'
import { writeSyntheticGguf } from '../../tools/synthetic.ts'

/** `DROVER_TEST_KILLS=1000` is the long run. */
const kills = Number(process.env['DROVER_TEST_KILLS'] ?? 12)
const churn = fileURLToPath(new URL('../support/model-churn.ts', import.meta.url))

let home: string
let root: string
let ggufs: string
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'drover-store-kill-'))
  root = join(home, 'store')
  ggufs = join(home, 'ggufs')
  await mkdir(ggufs)
  for (let seed = 1; seed <= 3; seed++) {
    await writeSyntheticGguf(join(ggufs, `${seed}.gguf`), {
      layers: 1,
      dim: 128,
      heads: 2,
      vocab: 2048,
      seed,
    })
  }
})
afterAll(() => rm(home, { recursive: true }))

/** A process that works on the store, killed after some milliseconds. */
async function killAfter(ms: number, seed: number): Promise<void> {
  const child = spawn(process.execPath, [churn, root, ggufs, String(seed)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await sleep(ms)
  child.kill('SIGKILL')
  const [code, signal] = await once(child, 'exit')
  expect({ code, signal }).toEqual({ code: null, signal: 'SIGKILL' })
}

/** Every model of the store whole, and nothing to warn of. */
async function checkModels(): Promise<number> {
  const warnings: unknown[] = []
  const store = await openStore({ root, log: { warn: (...words) => warnings.push(words) } })
  const models = await store.list()
  for (const stored of models) await store.describe(stored)
  expect(warnings).toEqual([])
  return models.length
}

it(`${kills} kills during create, copy and delete leave no corrupt model, and no blob that is never cleaned`, async () => {
  let seen = 0
  for (let kill = 0; kill < kills || (seen === 0 && kill < 2 * kills); kill++) {
    // Spread over the time that a few operations take, each time a little different; more where a slow machine has
    // not come to the end of one.
    await killAfter(((kill * 37) % 150) + 100 * Math.max(0, kill + 1 - kills), kill + 1)
    seen += await checkModels()
  }
  expect(seen).toBeGreaterThan(0)
  const blobs = join(root, 'blobs')
  const old = new Date(Date.now() - 2 * 3_600_000)
  for (const name of await readdir(blobs)) await utimes(join(blobs, name), old, old)
  const store = await openStore({ root, log: { warn: () => undefined } })
  await store.prune()
  for (const { displayName } of await store.list()) await store.remove(displayName)
  expect(await readdir(blobs)).toEqual([])
  expect(await readdir(join(root, 'manifests'))).toEqual([])
}, 600_000)
