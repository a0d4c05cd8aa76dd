import { createHash, randomBytes } from 'node:crypto'
import type { SigningKey } from '../keys.ts'
import { type Http, HttpError, type HttpReply, header, readBody } from './http.ts'
import type { RemoteModel } from './remote-name.ts'

/*
 * How Ollama's registry lets somebody in: it answers 401 with the address of a token server, and that gives a token to
 * whoever signs the question with the key that the registry knows.
 */

/** Larger answers are no tokens. */
const mostTokenBytes = 256 * 1024

/** Ollama's own registry is at home under all of these, and sends from one to another for a token. */
const vendorDomains = ['ollama.com', 'ollama.ai']

interface Challenge {
  realm: string
  service: string
  scope: string
}

/** Gets a token that answers a 401. Throws an `HttpError` saying why there is none. */
export async function fetchToken(
  http: Http,
  loadKey: () => Promise<SigningKey>,
  remote: RemoteModel,
  refusal: HttpReply,
  signal: AbortSignal,
): Promise<string> {
  const url = tokenUrl(parseChallenge(header(refusal, 'www-authenticate') ?? ''), refusal.url, remote)
  const key = await loadKey()
  const emptyBody = Buffer.from(createHash('sha256').digest('hex')).toString('base64')
  const signature = key.sign(`GET,${url},${emptyBody}`)
  const headers = { authorization: `${key.publicKey}:${signature}` }
  const reply = await http({ method: 'GET', url, headers, insecure: remote.insecure, signal })
  const text = (await readBody(reply, mostTokenBytes)).toString()
  if (reply.status >= 400) {
    throw new HttpError(text === '' ? `${reply.status}` : `${reply.status}: ${text}`, {
      status: reply.status,
    })
  }
  const token = parseToken(text)
  if (token === undefined) throw new HttpError(`${url.origin} sent no token`)
  return token
}

/** Reads `Bearer realm="...",service="...",scope="..."`. */
function parseChallenge(text: string): Challenge {
  const values = new Map(
    [...text.matchAll(/([a-z_]+)="([^"]*)"/gi)].map(([, key = '', value = '']) => [key, value]),
  )
  const { realm = '', service = '', scope = '' } = Object.fromEntries(values)
  return { realm, service, scope }
}

/** The address to ask, which is what the signature covers, with time and a nonce so that none can be used twice. */
function tokenUrl({ realm, service, scope }: Challenge, asked: URL, remote: RemoteModel): URL {
  if (!URL.canParse(realm)) throw new HttpError('unauthorized: access denied', { status: 401 })
  const url = new URL(realm)
  if (url.host !== asked.host && !(isVendor(url.hostname) && isVendor(asked.hostname))) {
    const hosts = `realm host ${JSON.stringify(url.host)} does not match original host`
    throw new HttpError(`${hosts} ${JSON.stringify(asked.host)}`)
  }
  if (asked.protocol === 'https:' && url.protocol !== 'https:' && !remote.insecure) {
    throw new HttpError(`${asked.origin} wants a signature sent to ${url.origin}, which is not encrypted`)
  }
  url.searchParams.append('service', service)
  for (const part of scope.split(' ')) url.searchParams.append('scope', part)
  url.searchParams.append('ts', String(Math.floor(Date.now() / 1000)))
  url.searchParams.append('nonce', randomBytes(16).toString('base64url'))
  url.searchParams.sort()
  return url
}

function isVendor(host: string): boolean {
  return vendorDomains.some((domain) => host === domain || host.endsWith(`.${domain}`))
}

/** Ollama's registry says `token`; others of the same protocol also say `access_token`. */
function parseToken(text: string): string | undefined {
  try {
    const { token, access_token: other } = JSON.parse(text) as Record<string, unknown>
    return [token, other].find((value) => typeof value === 'string' && value !== '') as string | undefined
  } catch {
    return undefined
  }
}
