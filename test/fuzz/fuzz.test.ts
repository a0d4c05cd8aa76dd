import { afterAll, beforeAll, expect, it } from 'vitest'
import { post, startDrover, type TestDrover } from '../support/drover.ts'
import { freePort } from '../support/free-port.ts'
import { type Heap, openHeap } from '../support/heap.ts'
import { exchange, type FuzzedReply } from './exchange.ts'
import { type FuzzedRequest, fuzzedRequest } from './requests.ts'

/** `DROVER_TEST_FUZZ=10000` is the long run; `DROVER_TEST_SEED` begins elsewhere. */
const count = Number(process.env['DROVER_TEST_FUZZ'] ?? 400)
const firstSeed = Number(process.env['DROVER_TEST_SEED'] ?? 1)
/** So many at a time, and a good request after each so many. */
const atOnce = 8
const goodEvery = 100
/** What Drover's heap may have grown by in the end: code that was not compiled before, caches that were empty. */
const growthMib = 10

let drover: TestDrover
let heap: Heap
beforeAll(async () => {
  const inspectorPort = await freePort()
  drover = await startDrover({
    nodeArgs: [`--inspect=127.0.0.1:${inspectorPort}`],
    env: { DROVER_ENGINE: 'embedded', DROVER_LOG_LEVEL: 'error' },
  })
  heap = await openHeap(inspectorPort)
})
afterAll(async () => {
  heap.close()
  expect(await drover.stop()).toBe(0)
})

/** Errors of status 500 that Ollama has for what a client got wrong. */
const documented = /must be of type|invalid format|template|quantization|was not pruned/

function check({ operation, what, isBroken }: FuzzedRequest, reply: FuzzedReply | undefined): void {
  if (!reply) return
  const { status, type, body } = reply
  const seen = `${operation.method} ${operation.path} (${what}): ${status} ${body.slice(0, 300)}`
  expect(status, seen).toBeGreaterThanOrEqual(200)
  if (status >= 500 && status !== 501 && status !== 503) expect(body, seen).toMatch(documented)
  if (status < 400 || operation.method === 'head' || !type.startsWith('application/json')) return
  const { error, type: kind } = JSON.parse(body)
  const plain = operation.dialect === 'Ollama' || operation.dialect === 'Drover'
  if (plain || (isBroken && typeof error === 'string')) expect(error, seen).toEqual(expect.any(String))
  else expect(error, seen).toMatchObject({ message: expect.any(String), type: expect.any(String) })
  if (operation.dialect === 'Anthropic' && !isBroken) expect(kind, seen).toBe('error')
}

async function goodRequest(): Promise<void> {
  const body = {
    model: 'drover',
    stream: false,
    options: { num_predict: 2 },
    messages: [{ role: 'user', content: 'Hi!' }],
  }
  const { status, text } = await post(`${drover.url}/api/chat`, body)
  expect(status, text).toBe(200)
}

it(`${count} malformed requests to every route are refused in the right shape, and cost no memory`, async () => {
  const port = Number(new URL(drover.url).port)
  const statuses = new Map<string, number>()
  const one = async (seed: number) => {
    const request = fuzzedRequest(seed)
    try {
      const reply = await exchange(port, request)
      check(request, reply)
      const status = String(reply?.status ?? 'closed')
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
    } catch (error) {
      throw new Error(
        `seed ${seed}, ${request.operation.method} ${request.operation.path} (${request.what})`,
        {
          cause: error,
        },
      )
    }
  }
  await goodRequest()
  let beforeMib = 0
  for (let seed = firstSeed; seed < firstSeed + count; seed += atOnce) {
    await Promise.all(Array.from({ length: atOnce }, (_, index) => one(seed + index)))
    if ((seed - firstSeed) % goodEvery < atOnce) await goodRequest()
    if (beforeMib === 0 && seed - firstSeed >= 50) beforeMib = await heap.usedMib()
  }
  await goodRequest()
  const afterMib = await heap.usedMib()
  const histogram = [...statuses].sort().map(([status, times]) => `${status}: ${times}`)
  console.info(`${histogram.join(', ')}; heap ${beforeMib.toFixed(1)} to ${afterMib.toFixed(1)} MiB`)
  expect(afterMib - beforeMib).toBeLessThan(growthMib)
  expect(drover.output()).not.toMatch(/uncaught|unhandled/i)
}, 3_600_000)
