import { DroverError } from '../../inference/index.ts'
import { checkSession, sessionFileName, writeSession } from '../session-file.ts'
import type { SessionStore } from '../session-store.ts'
import type { SlotQueue } from '../slots.ts'
import type { Question } from './protocol.ts'

/** Saves and restores sequences of an instance, each time one that nothing else uses meanwhile. */
export function createSessionStore(options: {
  dir: string
  fingerprint: string
  queue: SlotQueue
  ask<T>(question: Question): Promise<T>
}): SessionStore {
  const { dir, fingerprint, queue, ask } = options

  return {
    fingerprint,
    async save(prompt, path, signal) {
      signal.throwIfAborted()
      sessionFileName(path, dir)
      if (!queue.tryAcquire()) return undefined
      try {
        const written = await writeSession(path, () =>
          ask<{ tokens: number; bytes: number } | undefined>({ kind: 'saveSession', prompt, path }),
        )
        return written && { path, fingerprint, ...written }
      } finally {
        queue.release()
      }
    },
    async restore(saved, prompt, signal) {
      signal.throwIfAborted()
      sessionFileName(saved.path, dir)
      await checkSession(saved, fingerprint)
      if (!queue.tryAcquire()) return 0
      try {
        return await ask<number>({ kind: 'restoreSession', prompt, path: saved.path })
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        throw new DroverError(
          'engine_failed',
          `the session ${saved.path} could not be restored: ${message}`,
          {
            cause: error,
          },
        )
      } finally {
        queue.release()
      }
    },
  }
}
