import type { SavedSession } from '../../engines/index.ts'
import type { PrefixBlocks } from '../prefix/contract.ts'

export interface SessionCacheOptions {
  /** A folder of its own (`InstanceSpec.sessionDir`): made where it is missing, sessions of earlier runs are deleted. */
  dir: string
  /** What all files together may take; the least recently used go first. */
  budgetBytes: number
  /** Nothing is saved while the disk has less than this free. */
  reserveBytes: number
  /** Told once when saving stops because the disk is full, and once when it goes on. */
  warn(message: string): void
}

export interface FoundSession {
  saved: SavedSession
  /** Leading blocks of the prompt that it holds. */
  blocks: number
}

/**
 * The saved KV caches of prompts, by model and by chained hashes, in which the tenant's salt already is: nobody finds
 * the session of another tenant, nor of another model. Only file operations wait; what is kept is known at once.
 */
export interface SessionCache {
  /** The session with the longest common beginning, the smallest of several. Does not count as use. */
  find(prompt: PrefixBlocks, fingerprint: string): FoundSession | undefined
  /**
   * Has a session written (`SessionStore.save`) and keeps it. False where there is nothing to keep: one with all blocks
   * is here already or being written, `write` gave none or threw, or the disk is full. Never throws.
   */
  save(
    prompt: PrefixBlocks,
    fingerprint: string,
    write: (path: string) => Promise<SavedSession | undefined>,
  ): Promise<boolean>
  /**
   * Has the longest session read (`SessionStore.restore`), which is not deleted meanwhile; one that cannot be read is
   * forgotten. The tokens that `read` told, 0 where none was found or read. Never throws.
   */
  restore(
    prompt: PrefixBlocks,
    fingerprint: string,
    read: (saved: SavedSession) => Promise<number>,
  ): Promise<number>
  stats(): SessionStats
  /** Deletes all files; nothing is kept any more. */
  close(): Promise<void>
}

export interface SessionStats {
  sessions: number
  bytes: number
  budgetBytes: number
  /** Calls of `restore` that found a session, and that found none. */
  hits: number
  misses: number
  /** Tokens of sessions that were restored. */
  restoredTokens: number
  saved: number
  /** Deleted to stay within the budget. */
  evicted: number
  /** Writing or reading failed. */
  failed: number
  /** Saving has stopped for want of disk space. */
  full: boolean
}
