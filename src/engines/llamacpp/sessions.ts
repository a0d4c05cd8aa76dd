import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { randomHex } from '../../core/index.ts'
import { DroverError } from '../../inference/index.ts'
import type { CompletionRequest } from '../contract.ts'
import { checkSession, sessionFileName, writeSession } from '../session-file.ts'
import type { SessionStore } from '../session-store.ts'
import type { SlotQueue } from '../slots.ts'
import { type ServerClient, ServerError } from './client.ts'
import type { Slot, SlotTable } from './slot-table.ts'

interface SlotAnswer {
  n_saved?: number
  n_written?: number
  n_restored?: number
}

/**
 * Saves and restores slots of a running server, each time one that nothing else uses meanwhile. What has begun is not
 * broken off: it takes milliseconds, and half of it would be worse than none.
 */
export function createSessionStore(options: {
  dir: string
  fingerprint: string
  client: ServerClient
  queue: SlotQueue
  table: SlotTable
  contentOf(request: Pick<CompletionRequest, 'prompt'>): Promise<string>
}): SessionStore {
  const { dir, fingerprint, client, queue, table, contentOf } = options

  /** Undefined where all slots are taken, or none suits. */
  async function inIdleSlot<T>(
    prompt: string | number[],
    choose: (content: string) => Slot | undefined,
    work: (slot: Slot) => Promise<T>,
  ): Promise<T | undefined> {
    if (!queue.tryAcquire()) return undefined
    let slot: Slot | undefined
    try {
      slot = choose(await contentOf({ prompt }))
      return slot && (await work(slot))
    } finally {
      queue.release()
    }
  }

  return {
    fingerprint,
    async save(prompt, path, signal) {
      signal.throwIfAborted()
      const name = sessionFileName(path, dir)
      return inIdleSlot(prompt, table.takeHolder, async (slot) => {
        try {
          const written = await writeSession(path, async () => {
            const { n_saved = 0, n_written = 0 } = await slotAction(client, slot.id, 'save', name)
            return { tokens: n_saved, bytes: n_written }
          })
          return { path, fingerprint, ...written }
        } finally {
          slot.putBack()
        }
      })
    },
    async restore(saved, prompt, signal) {
      signal.throwIfAborted()
      const name = sessionFileName(saved.path, dir)
      await checkSession(saved, fingerprint)
      const restored = await inIdleSlot(prompt, table.takeToFill, async (slot) => {
        try {
          const { n_restored = 0 } = await slotAction(client, slot.id, 'restore', name)
          slot.release('')
          return n_restored
        } catch (error) {
          // The server empties the slot then.
          slot.clear()
          const message = error instanceof Error ? error.message : String(error)
          throw new DroverError(
            'engine_failed',
            `the session ${saved.path} could not be restored: ${message}`,
            {
              cause: error,
            },
          )
        }
      })
      return restored ?? 0
    },
  }
}

async function slotAction(
  client: ServerClient,
  slot: number,
  action: 'save' | 'restore' | 'erase',
  filename: string,
): Promise<SlotAnswer> {
  return (await client.json('POST', `/slots/${slot}?action=${action}`, { filename })) as SlotAnswer
}

const probePrompt = [1, 2, 3, 4, 5, 6, 7, 8]

/**
 * Whether a server that nobody uses yet can save a slot, and restore it so that the next request finds it: some builds
 * say that they restored, and compute the prompt all the same.
 */
export async function canRestoreSlots(client: ServerClient, dir: string): Promise<boolean> {
  const name = `probe-${randomHex(8)}.session`
  const body = { prompt: probePrompt, n_predict: 0, cache_prompt: true, id_slot: 0 }
  const ask = async () =>
    (await client.json('POST', '/completion', body)) as { timings?: { cache_n?: number } }
  try {
    await ask()
    await slotAction(client, 0, 'save', name)
    await slotAction(client, 0, 'erase', name)
    await slotAction(client, 0, 'restore', name)
    const { timings } = await ask()
    await slotAction(client, 0, 'erase', name)
    return (timings?.cache_n ?? 0) >= probePrompt.length - 1
  } catch (error) {
    if (error instanceof ServerError) return false
    throw error
  } finally {
    await rm(join(dir, name), { force: true })
  }
}
