import type { Clock } from '../../core/index.ts'
import type { EngineInstance } from '../../engines/index.ts'
import { DroverError } from '../../inference/index.ts'
import { samplingOf } from '../options.ts'

/** One token takes no longer on anything that is of use. */
const warmTimeoutMs = 120_000

/** Long enough that the engine computes a batch of its prompt. */
const words = 'The quick brown fox jumps over the lazy dog. '.repeat(4)

/**
 * Has an instance compute something before anybody waits for it: what it does once only (kernels, graphs, pages of its
 * file) is done then, and one that loads and cannot compute is found out. Ends one that fails, and throws its error.
 */
export async function warm(
  instance: EngineInstance,
  embedding: boolean,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  const late = new AbortController()
  const cancel = clock.after(warmTimeoutMs, () =>
    late.abort(new DroverError('engine_unavailable', 'it does not answer')),
  )
  const either = AbortSignal.any([signal, late.signal])
  try {
    if (embedding) await instance.embed([words], either)
    else await sayOneToken(instance, either)
  } catch (error) {
    await instance.close()
    throw error
  } finally {
    cancel()
  }
}

async function sayOneToken(instance: EngineInstance, signal: AbortSignal): Promise<void> {
  const chat = { prompt: words, messages: [{ role: 'user' as const, content: words }], tools: [] }
  const request = {
    prompt: words,
    sampling: samplingOf({ temperature: 0 }),
    maxTokens: 1,
    stop: [],
    ...(instance.chatOnly && { chat }),
  }
  for await (const event of instance.generate(request, signal)) if (event.type === 'done') return
  throw new DroverError('engine_failed', 'the engine ended its first answer before it was complete')
}
