import type { OllamaServer } from './server.ts'

/** An entry of `GET /api/ps`. */
export interface RunningModel {
  name?: string
  size?: number
  size_vram?: number
  context_length?: number
}

const pollMs = 20

/**
 * Asks the server to unload a model, and waits until it has, for at most `timeoutMs`. A server that does not answer, or
 * does not know the model, has nothing that Drover could unload.
 */
export async function unload(
  { client }: OllamaServer,
  model: string,
  timeoutMs: number,
  hurry?: AbortSignal,
): Promise<void> {
  const limit = AbortSignal.timeout(timeoutMs)
  const signal = hurry ? AbortSignal.any([limit, hurry]) : limit
  try {
    await client.json('POST', '/api/generate', { model, keep_alive: 0, stream: false }, signal)
    for (;;) {
      const { models = [] } = (await client.json('GET', '/api/ps', undefined, signal)) as {
        models?: RunningModel[]
      }
      if (!models.some(({ name = '' }) => isSameName(name, model))) return
      await new Promise((resolve) => setTimeout(resolve, pollMs))
    }
  } catch {
    // Nobody waits for its answer: the instance is closed, and what is loaded the server lets go when it needs room.
  }
}

/** `tiny` and `tiny:latest` are one model; case does not count. */
export function isSameName(a: string, b: string): boolean {
  const whole = (name: string) => (/:[^/]*$/.test(name) ? name : `${name}:latest`).toLowerCase()
  return whole(a) === whole(b)
}
