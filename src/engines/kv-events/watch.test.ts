import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { type EventPublisher, publishEvents, socketPlace } from '../../../test/support/kv-events.ts'
import { watchKvCache } from './watch.ts'

/** What stands for the end of all that was published. */
let marks = 1000

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

const storedOf = (tokens: number[], hash: number) => ['BlockStored', [hash], null, tokens, 2]
const removed = (hash: number) => ['BlockRemoved', [hash]]

async function watched() {
  const { endpoint, remove } = await socketPlace()
  open.push({ close: remove })
  const logged: string[] = []
  let wake: () => void = () => undefined
  const log = (message: string) => {
    logged.push(message)
    wake()
  }
  let events = await publishEvents(endpoint)
  open.push({ close: () => events.close() })
  const watch = watchKvCache({ endpoint, title: 'vLLM', log })
  open.push(watch)
  await events.subscribed()
  /** What a prompt's follower is told. */
  const follow = (tokens: number[]) => {
    const told: number[] = []
    watch.follow(tokens, (kept) => told.push(kept))
    return told
  }
  return {
    logged,
    follow,
    publish: (...batch: Parameters<EventPublisher['publish']>) => events.publish(...batch),
    send: (...frames: Parameters<EventPublisher['send']>) => events.send(...frames),
    /** Resolves when all that was published before has been read. */
    async read() {
      const [hash, mark] = [++marks, [0, marks]]
      let isRead = false
      // Again and again, as what is followed may be forgotten meanwhile.
      while (!isRead) {
        watch.follow(mark, () => {
          isRead = true
        })
        await events.publish([storedOf(mark, hash)])
        await events.publish([removed(hash)])
        await sleep(1)
      }
    },
    /** The publisher is away until that is said. */
    async restart() {
      const said = new Promise<void>((resolve) => {
        wake = resolve
      })
      events.close()
      await said
      events = await publishEvents(endpoint)
      await events.subscribed()
    },
  }
}

describe('what a cache holds', () => {
  it('is not known any more when a batch is missing, or is none, which is said once', async () => {
    const { publish, send, follow, read, logged } = await watched()
    for (const spoil of [() => publish([], 500n), () => publish([], 900n), () => send('', 'short', 'none')]) {
      await publish([storedOf([1, 2], 1)])
      await read()
      const told = follow([1, 2])
      await spoil()
      await publish([removed(1)])
      await read()
      expect(told).toEqual([])
    }
    expect(logged).toEqual([
      expect.stringMatching(/^batch \d+ is missing, 500 came \(KV cache events of vLLM, ipc:.*; said once$/),
      expect.stringMatching(/^a message is no batch of events/),
    ])
  })

  it('is learnt anew from a publisher that has come back', async () => {
    const { publish, follow, read, restart, logged } = await watched()
    await publish([storedOf([1, 2], 1)])
    await read()
    const before = follow([1, 2])
    await restart()
    await publish([storedOf([1, 2], 1), storedOf([3, 4], 2)])
    await read()
    const after = follow([3, 4])
    await publish([removed(1), removed(2)])
    await read()
    expect(before).toEqual([])
    expect(after).toEqual([0])
    expect(logged).toEqual([expect.stringMatching(/^no KV cache events of vLLM come from ipc:.*tried again/)])
  })
})
