/** The KV cache of a prompt and perhaps its answer, as a file. */
export interface SavedSession {
  /** Directly in `InstanceSpec.sessionDir`. */
  path: string
  /** How many tokens it holds. */
  tokens: number
  bytes: number
  /** Of the instance that wrote it: only those with the same one can read it. */
  fingerprint: string
}

/** Saves what an instance's slots hold, and puts it back, there or in another instance. */
export interface SessionStore {
  /** The same for instances of the same model, adapters, engine build, context and KV cache type; different for others. */
  readonly fingerprint: string
  /**
   * Writes what the idle slot holds whose content begins with the longest part of the prompt, at least a tenth of it.
   * Undefined where no idle slot does. Throws `engine_failed` where it cannot be written (a full disk), and leaves
   * no file then.
   */
  save(prompt: string | number[], path: string, signal: AbortSignal): Promise<SavedSession | undefined>
  /**
   * Fills an idle slot, so that the next request whose prompt begins with `prompt` finds it there. How many tokens it
   * then holds is returned: 0 where no slot is idle. Throws `engine_failed` for a file of another fingerprint, or one
   * that is not as it was written.
   */
  restore(saved: SavedSession, prompt: string | number[], signal: AbortSignal): Promise<number>
}
