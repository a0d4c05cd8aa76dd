import type { EngineInstance } from '../engines/index.ts'
import { asDroverError } from '../inference/index.ts'
import type { PrefixBlocks } from './prefix/index.ts'
import type { SessionCache, SessionStats } from './sessions/index.ts'

/** A prompt with its answer, as an instance's cache holds it. */
export interface Conversation {
  prompt: string | number[]
  blocks: PrefixBlocks
}

/** Keeps the caches of conversations when their instance ends, and gives them to the instance that goes on with them. */
export interface ConversationKeeper {
  /** The instance's cache holds this conversation now; a long one is saved at once, where that is wished. */
  note(instanceId: number, conversation: Conversation, instance: EngineInstance): void
  /** Saves what an instance that is about to end holds. Never throws. */
  keep(instanceId: number, instance: EngineInstance): Promise<void>
  /**
   * For one prompt: how many of its tokens an instance could take up from a saved cache. Undefined where nothing is saved
   * at all.
   */
  savedTokensOf(blocks: PrefixBlocks): ((instance: EngineInstance) => number) | undefined
  /** Gives an instance the saved beginning of a prompt; how many tokens it then holds. Never throws. */
  restore(conversation: Conversation, instance: EngineInstance, signal: AbortSignal): Promise<number>
  forget(instanceId: number): void
  /** Undefined while nothing can be kept. */
  stats(): SessionStats | undefined
}

/** An instance that ends may take so long to save all that it holds. */
const keepTimeoutMs = 20_000
/** Shorter conversations are computed sooner than they are written and read. */
const leastTokens = 256

/** A checkpoint is written anew when the conversation has grown by this share. */
const checkpointGrowth = 1.25

export interface ConversationOptions {
  /** Conversations of so many tokens are saved after each answer; 0 none is. */
  checkpointTokens: number
  /** Told when there will be no saved caches. */
  warn(message: string): void
}

/** Opens its folder when there is something to keep for the first time, and goes without where it cannot be had. */
export function createConversationKeeper(
  openSessions: () => Promise<SessionCache>,
  { checkpointTokens, warn }: ConversationOptions,
): ConversationKeeper {
  let sessions: SessionCache | undefined
  let opening: Promise<void> | undefined

  const open = () =>
    openSessions().then(
      (opened) => {
        sessions = opened
      },
      (error) => warn(`caches of conversations are not kept: ${asDroverError(error).message}`),
    )
  /** By instance, the most recent last; as many as it has slots. */
  const held = new Map<number, Conversation[]>()

  async function keep(instanceId: number, instance: EngineInstance): Promise<void> {
    const store = instance.sessions
    const recent = held.get(instanceId) ?? []
    held.delete(instanceId)
    await opening
    if (!store || !sessions) return
    const signal = AbortSignal.timeout(keepTimeoutMs)
    for (const { prompt, blocks } of recent.toReversed().slice(0, instance.slots)) {
      if (signal.aborted) return
      await sessions.save(blocks, store.fingerprint, (path) => store.save(prompt, path, signal))
    }
  }

  function checkpoint({ prompt, blocks }: Conversation, { sessions: store }: EngineInstance): void {
    if (!store || !sessions || checkpointTokens === 0 || blocks.promptTokens < checkpointTokens) return
    const saved = sessions.find(blocks, store.fingerprint)
    if (saved && blocks.hashes.length < saved.blocks * checkpointGrowth) return
    const signal = AbortSignal.timeout(keepTimeoutMs)
    // Beside the serving: whatever comes of it, the answer is given.
    void sessions.save(blocks, store.fingerprint, (path) => store.save(prompt, path, signal))
  }

  return {
    note(instanceId, conversation, instance) {
      if (conversation.blocks.promptTokens < leastTokens) return
      opening ??= open()
      void opening.then(() => checkpoint(conversation, instance))
      const list = held.get(instanceId) ?? []
      // The same conversation, a turn longer, takes its own place.
      const others = list.filter(({ blocks }) => !beginsWith(conversation.blocks, blocks))
      held.set(instanceId, [...others, conversation].slice(-mostHeld))
    },
    keep,
    savedTokensOf(blocks) {
      const cache = sessions
      if (!cache || cache.stats().sessions === 0) return undefined
      /** Instances alike have the same one, so that it is looked up once. */
      const byFingerprint = new Map<string, number>()
      return ({ sessions: store }) => {
        if (!store) return 0
        const { fingerprint } = store
        const known = byFingerprint.get(fingerprint)
        if (known !== undefined) return known
        const tokens = (cache.find(blocks, fingerprint)?.blocks ?? 0) * blocks.blockTokens
        byFingerprint.set(fingerprint, tokens)
        return tokens
      }
    },
    async restore({ prompt, blocks }, { sessions: store }, signal) {
      if (!store || !sessions) return 0
      return sessions.restore(blocks, store.fingerprint, (saved) => store.restore(saved, prompt, signal))
    },
    forget: (instanceId) => void held.delete(instanceId),
    stats: () => sessions?.stats(),
  }
}

/** Conversations of one instance that are remembered: no engine has more slots in use than that by much. */
const mostHeld = 64

function beginsWith(whole: PrefixBlocks, start: PrefixBlocks): boolean {
  const last = start.hashes.length - 1
  return last >= 0 && whole.hashes[last] === start.hashes[last]
}
