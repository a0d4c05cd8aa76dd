import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { MockCore } from '../core.ts'
import { type plainRoute, readBody } from '../http/call.ts'
import { Refusal } from '../refusal.ts'
import type { Slot } from '../slots.ts'

type Route = ReturnType<typeof plainRoute>

/** `GET /slots`, and a slot's `save`, `restore` and `erase`, as llama-server has them. */
export function slotRoutes(
  app: FastifyInstance,
  core: MockCore,
  ready: (handle: (request: FastifyRequest) => unknown) => Route,
): void {
  app.get(
    '/slots',
    ready((request) => {
      const { fail_on_no_slot: fail } = request.query as { fail_on_no_slot?: string }
      const slots = core.first.slots.map((slot) => shown(core, slot))
      if (fail && slots.every(({ is_processing: busy }) => busy)) throw new Refusal(503, 'no slot available')
      return slots
    }),
  )
  app.post(
    '/slots/:id',
    ready((request) => {
      const { action } = request.query as { action?: string }
      const slot = slotOf(core, (request.params as { id: string }).id)
      if (action === 'erase') return erase(core, slot)
      const folder = core.settings.slotSavePath
      if (action !== 'save' && action !== 'restore') throw new Refusal(400, 'Invalid action')
      if (folder === undefined) {
        const advice = 'This server does not support slots action. Start it with `--slot-save-path`'
        throw new Refusal(501, advice, { type: 'not_supported_error' })
      }
      const { filename } = readBody(request, fileSchema)
      // A file of that folder and of no other.
      if (!/^[\w][\w.-]*$/.test(filename)) throw new Refusal(400, 'Invalid filename')
      const path = join(folder, filename)
      return action === 'save' ? save(slot, path, filename) : restore(core, slot, path, filename)
    }),
  )
}

const fileSchema = z.looseObject({ filename: z.string() })

function shown({ settings, first }: MockCore, slot: Slot) {
  return {
    id: slot.id,
    id_task: slot.task ?? -1,
    n_ctx: settings.contextTokens,
    speculative: false,
    is_processing: slot.task !== undefined,
    model: first.name,
    n_past: slot.tokens.length,
    next_token: { has_next_token: slot.task !== undefined, n_remain: -1, n_decoded: slot.decoded },
  }
}

function slotOf({ first }: MockCore, id: string): Slot {
  const slot = first.slots[Number(id)]
  if (!/^\d+$/.test(id) || !slot) throw new Refusal(400, 'Invalid slot ID')
  return slot
}

/** A saved slot as it lies on the disk: its tokens are all that a modelled cache consists of. */
const savedSchema = z.object({ mockEngineSlot: z.literal(1), tokens: z.array(z.int()) })

async function save(slot: Slot, path: string, filename: string) {
  const beganMs = performance.now()
  const text = JSON.stringify({ mockEngineSlot: 1, tokens: slot.tokens })
  await writeFile(path, text)
  const timings = { save_ms: performance.now() - beganMs }
  return { id_slot: slot.id, filename, n_saved: slot.tokens.length, n_written: text.length, timings }
}

async function restore(core: MockCore, slot: Slot, path: string, filename: string) {
  const beganMs = performance.now()
  const { text, tokens } = await readSaved(path)
  if (!core.first.restoreSlot(slot, tokens)) throw busy(slot)
  const timings = { restore_ms: performance.now() - beganMs }
  return { id_slot: slot.id, filename, n_restored: tokens.length, n_read: text.length, timings }
}

async function readSaved(path: string): Promise<{ text: string; tokens: number[] }> {
  try {
    const text = await readFile(path, 'utf8')
    return { text, tokens: savedSchema.parse(JSON.parse(text)).tokens }
  } catch {
    // Missing, unreadable or of something else: llama-server tells them no further apart.
    throw new Refusal(400, 'Unable to restore slot, no available space in KV cache or invalid slot save file')
  }
}

function erase(core: MockCore, slot: Slot) {
  const erased = slot.tokens.length
  if (!core.first.eraseSlot(slot)) throw busy(slot)
  return { id_slot: slot.id, n_erased: erased }
}

/** A real server would wait for the slot. */
function busy({ id }: Slot): Refusal {
  return new Refusal(503, `slot ${id} is processing a request: try again when it has ended`)
}
