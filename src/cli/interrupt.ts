/**
 * Does a piece of work that Ctrl-C stops: its signal aborts, and the program goes on. Resolves to undefined when the work
 * was stopped so.
 */
export async function interruptible<T>(
  work: (signal: AbortSignal) => Promise<T>,
  also?: AbortSignal,
): Promise<T | undefined> {
  const abort = new AbortController()
  const signal = also ? AbortSignal.any([abort.signal, also]) : abort.signal
  const onInterrupt = () => abort.abort()
  process.once('SIGINT', onInterrupt)
  try {
    return await work(signal)
  } catch (error) {
    if (signal.aborted) return undefined
    throw error
  } finally {
    process.off('SIGINT', onInterrupt)
  }
}
