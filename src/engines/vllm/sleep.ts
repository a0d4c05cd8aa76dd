import { DroverError } from '../../inference/index.ts'
import { OpenAiError } from '../openai/client.ts'
import type { OpenAiServer } from '../openai/server.ts'

/** Weights go to the host's memory, and come back in seconds; the KV cache is dropped. */
const sleepLevel = 1

/**
 * Wakes a vLLM that was started with `--enable-sleep-mode` and `VLLM_SERVER_DEV_MODE=1`. What is returned lays it to
 * sleep again. Throws `load_failed` where it cannot sleep.
 */
export async function wakeUp(
  { client, title }: OpenAiServer,
  signal: AbortSignal,
): Promise<(signal: AbortSignal) => Promise<void>> {
  try {
    const state = (await client.json('GET', '/is_sleeping', undefined, signal)) as { is_sleeping?: boolean }
    if (state.is_sleeping) await client.json('POST', '/wake_up', undefined, signal)
  } catch (error) {
    if (!(error instanceof OpenAiError)) throw error
    throw new DroverError(
      'load_failed',
      `${title} has no sleep mode (${error.message}): start it with --enable-sleep-mode and VLLM_SERVER_DEV_MODE=1, ` +
        'or leave `sleep=on` away',
      { cause: error },
    )
  }
  return async (closing) => {
    await client.json('POST', `/sleep?level=${sleepLevel}`, undefined, closing)
  }
}
