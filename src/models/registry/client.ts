import type { Clock } from '../../core/index.ts'
import type { SigningKey } from '../keys.ts'
import { fetchToken } from './authorize.ts'
import { dump, type Http, HttpError, type HttpReply, type HttpRequest, isPassing, readBody } from './http.ts'
import type { RemoteModel } from './remote-name.ts'

/** What the registry says in an error is passed on up to this length. */
const mostErrorBytes = 64 * 1024

export type ClientRequest = Omit<HttpRequest, 'url' | 'insecure'> & {
  /** Below the model's repository (`blobs/sha256:...`), or a whole address that the registry gave. */
  at: string | URL
}

/** One model's repository at its registry. */
export interface RegistryClient {
  remote: RemoteModel
  /**
   * Sends a request, with a token where it goes to the registry itself, getting one where it asks for it. Throws an
   * `HttpError` for every status from 400 on, in Ollama's words.
   */
  send(request: ClientRequest): Promise<HttpReply>
}

/** Tokens by registry and repository, for as long as they are good. */
export type Tokens = Map<string, string>

export function createClient(
  http: Http,
  tokens: Tokens,
  loadKey: () => Promise<SigningKey>,
  remote: RemoteModel,
): RegistryClient {
  const base = new URL(`${remote.origin}/v2/${remote.repository}/`)
  const tokenKey = base.href

  /** The token goes to the registry and to nobody that it sends us to. */
  function credential(url: URL): Record<string, string> {
    const token = tokens.get(tokenKey)
    return token !== undefined && url.origin === base.origin ? { authorization: `Bearer ${token}` } : {}
  }

  return {
    remote,
    async send({ at, ...request }) {
      const url = new URL(at, base)
      const attempt = () =>
        http({
          ...request,
          url,
          headers: { ...request.headers, ...credential(url) },
          insecure: remote.insecure,
        })
      let reply = await attempt()
      if (reply.status === 401 && reply.url.origin === base.origin) {
        await dump(reply)
        tokens.set(tokenKey, await fetchToken(http, loadKey, remote, reply, request.signal))
        reply = await attempt()
        if (reply.status === 401) {
          await dump(reply)
          tokens.delete(tokenKey)
          throw new HttpError('unauthorized: access denied', { status: 401 })
        }
      }
      if (reply.status >= 400) throw await refusal(reply)
      return reply
    },
  }
}

async function refusal(reply: HttpReply): Promise<HttpError> {
  const { status } = reply
  if (status === 404) {
    await dump(reply)
    return new HttpError('file does not exist', { status })
  }
  const text = (await readBody(reply, mostErrorBytes, { cuts: true })).toString()
  return new HttpError(`${status}: ${text}`, { status })
}

/**
 * Does something again that failed for a passing reason, waiting twice as long each time, `tries` times in all. What it
 * does must be harmless to do twice.
 */
export async function retrying<T>(
  clock: Clock,
  { tries, delayMs, signal }: { tries: number; delayMs: number; signal: AbortSignal },
  action: () => Promise<T>,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await action()
    } catch (error) {
      signal.throwIfAborted()
      if (attempt + 1 >= tries || !isPassing(error)) throw error
    }
    await clock.sleep(delayMs * 2 ** attempt, signal)
  }
}
