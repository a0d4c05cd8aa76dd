import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { EngineInstance, SessionStore } from '../engines/index.ts'
import { type Conversation, createConversationKeeper } from './conversations.ts'
import { textBlocks } from './prefix/index.ts'
import { createSessionCache } from './sessions/index.ts'

let dir = ''
let warnings: string[] = []
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'drover-conversations-'))
  warnings = []
})
afterEach(() => rm(dir, { recursive: true, force: true }))

const warn = (message: string) => void warnings.push(message)

function keeperOf({ checkpointTokens = 0 } = {}) {
  const open = () => createSessionCache({ dir, budgetBytes: 10_000, reserveBytes: 0, warn })
  return createConversationKeeper(open, { checkpointTokens, warn })
}

const blockBytes = 256
const wordsOf = (tokens: number, seed: string) => seed.repeat(tokens * 4).slice(0, tokens * 4)

/** Of so many tokens; those with the same seed begin alike. */
function conversation(tokens: number, seed = 'a', tenant = 'ada'): Conversation {
  const prompt = wordsOf(tokens, seed)
  return { prompt, blocks: textBlocks(prompt, { salt: tenant, blockBytes, bytesPerToken: 4 }) }
}

/** An instance that writes a file of ten bytes for each conversation. */
function instanceOf({ slots = 4, fingerprint = 'llama', fails = false } = {}) {
  const saved: string[] = []
  const restored: string[] = []
  const sessions: SessionStore = {
    fingerprint,
    save: async (prompt, path) => {
      if (fails) throw new Error('the disk is full')
      saved.push(String(prompt))
      await writeFile(path, Buffer.alloc(10))
      return { path, tokens: prompt.length / 4, bytes: 10, fingerprint }
    },
    restore: async (session, prompt) => {
      if (fails) throw new Error('a corrupt file')
      restored.push(String(prompt))
      return session.tokens
    },
  }
  return { instance: { slots, sessions } as unknown as EngineInstance, saved, restored }
}

const never = new AbortController().signal

describe('the conversations of an instance', () => {
  it('are saved when it ends, and taken up by another one that goes on with them', async () => {
    const keeper = keeperOf()
    const [old, next] = [instanceOf(), instanceOf()]
    keeper.note(1, conversation(512), old.instance)
    expect(keeper.savedTokensOf(conversation(640).blocks)).toBeUndefined()
    await keeper.keep(1, old.instance)
    expect(old.saved).toEqual([wordsOf(512, 'a')])
    const longer = conversation(640)
    expect(keeper.savedTokensOf(longer.blocks)?.(next.instance)).toBe(512)
    expect(await keeper.restore(longer, next.instance, never)).toBe(512)
    expect(next.restored).toEqual([longer.prompt])
    expect(keeper.stats()).toMatchObject({ sessions: 1, hits: 1, restoredTokens: 512 })
  })

  it('are never given to another tenant, nor to an instance of another kind', async () => {
    const keeper = keeperOf()
    const { instance } = instanceOf()
    keeper.note(1, conversation(512), instance)
    await keeper.keep(1, instance)
    const theirs = conversation(512, 'a', 'bob')
    expect(keeper.savedTokensOf(theirs.blocks)?.(instance)).toBe(0)
    expect(await keeper.restore(theirs, instance, never)).toBe(0)
    const other = instanceOf({ fingerprint: 'qwen' })
    const mine = keeper.savedTokensOf(conversation(512).blocks)
    expect([mine?.(other.instance), mine?.(instance)]).toEqual([0, 512])
    expect(await keeper.restore(conversation(512), other.instance, never)).toBe(0)
    expect(other.restored).toEqual([])
  })

  it('are saved once, at their longest', async () => {
    const keeper = keeperOf()
    const { instance, saved } = instanceOf()
    for (const tokens of [512, 640, 768]) keeper.note(1, conversation(tokens), instance)
    await keeper.keep(1, instance)
    expect(saved).toEqual([wordsOf(768, 'a')])
  })

  it('are saved as many as it has slots, the latest first', async () => {
    const keeper = keeperOf()
    const { instance, saved } = instanceOf({ slots: 2 })
    for (const seed of ['a', 'b', 'c']) keeper.note(1, conversation(512, seed), instance)
    await keeper.keep(1, instance)
    expect(saved.map((text) => text[0])).toEqual(['c', 'b'])
    await keeper.keep(1, instance)
    expect(saved, 'what was saved is known no longer').toHaveLength(2)
  })

  it('are not saved where they are short, forgotten, or another instance’s', async () => {
    const keeper = keeperOf()
    const { instance, saved } = instanceOf()
    keeper.note(1, conversation(255), instance)
    keeper.note(2, conversation(512), instance)
    keeper.forget(2)
    keeper.note(3, conversation(512), instance)
    for (const id of [1, 2]) await keeper.keep(id, instance)
    expect(saved).toEqual([])
    expect(await readdir(dir)).toEqual([])
  })
})

describe('a long conversation', () => {
  it('is saved while it goes on, again when it has grown by a quarter', async () => {
    const keeper = keeperOf({ checkpointTokens: 512 })
    const { instance, saved } = instanceOf()
    const says = async (tokens: number, expected: number[]) => {
      keeper.note(1, conversation(tokens), instance)
      // What is saved beside the serving is told by nobody.
      await new Promise((resolve) => setTimeout(resolve, 20))
      await vi.waitFor(() => expect(saved.map((text) => text.length / 4)).toEqual(expected), 5_000)
    }
    await says(448, [])
    await says(512, [512])
    await says(576, [512])
    await says(640, [512, 640])
    expect(keeper.savedTokensOf(conversation(700).blocks)?.(instance)).toBe(640)
  })
})

describe('what cannot be kept', () => {
  it('costs nothing but the cache: engines that fail or have no sessions', async () => {
    const keeper = keeperOf({ checkpointTokens: 512 })
    const broken = instanceOf({ fails: true })
    keeper.note(1, conversation(600), broken.instance)
    await keeper.keep(1, broken.instance)
    expect(await keeper.restore(conversation(600), broken.instance, never)).toBe(0)
    await vi.waitFor(() => expect(keeper.stats()?.failed).toBeGreaterThan(0))
    const plain = { slots: 1 } as EngineInstance
    keeper.note(2, conversation(600), plain)
    await keeper.keep(2, plain)
    expect(await keeper.restore(conversation(600), plain, never)).toBe(0)
    expect(await readdir(dir)).toEqual([])
  })

  it('needs no folder while there is nothing to keep', async () => {
    const keeper = keeperOf()
    keeper.note(1, conversation(100), instanceOf().instance)
    await keeper.keep(1, instanceOf().instance)
    expect(keeper.stats()).toBeUndefined()
  })

  it('is told once where there is no folder for it', async () => {
    const open = () => Promise.reject(new Error('read-only file system'))
    const keeper = createConversationKeeper(open, { checkpointTokens: 1, warn })
    const { instance, saved } = instanceOf()
    for (const id of [1, 2]) {
      keeper.note(id, conversation(512), instance)
      await keeper.keep(id, instance)
    }
    expect(warnings).toEqual(['caches of conversations are not kept: read-only file system'])
    expect(await keeper.restore(conversation(512), instance, never)).toBe(0)
    expect([keeper.savedTokensOf(conversation(512).blocks), keeper.stats(), saved]).toEqual([
      undefined,
      undefined,
      [],
    ])
  })
})
