import { hkdfSync, randomBytes } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import type { ConnectionOptions, PSKCallbackNegotation, SecureContextOptions, TlsOptions } from 'node:tls'
import { DroverError } from '../../../inference/index.ts'

/** Shorter ones could be guessed. */
const leastCharacters = 32
const identity = 'drover-rpc'

/** What both ends of a tunnel know, and nobody else. */
export interface TunnelKey {
  readonly secret: Buffer
}

/** Reads the key that a file holds. Throws `invalid_request` where there is none, or it is too short to be one. */
export async function readTunnelKey(path: string): Promise<TunnelKey> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw new DroverError(
      'invalid_request',
      `the key of RPC workers cannot be read: ${error instanceof Error ? error.message : error}`,
      { cause: error },
    )
  }
  if (text.length < leastCharacters) {
    throw new DroverError(
      'invalid_request',
      `${path} holds ${text.length} characters, too few for a key of RPC workers: at least ${leastCharacters}, as ` +
        '`drover rpc-worker --key-file` writes them where there is no such file',
    )
  }
  return tunnelKey(text)
}

/** Reads the key, or writes a new one that only this user can read; true is returned beside it when it is new. */
export async function ensureTunnelKey(path: string): Promise<{ key: TunnelKey; isNew: boolean }> {
  const text = randomBytes(32).toString('base64url')
  try {
    await writeFile(path, `${text}\n`, { mode: 0o600, flag: 'wx' })
    return { key: tunnelKey(text), isNew: true }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    return { key: await readTunnelKey(path), isNew: false }
  }
}

/** The key of a text that both ends have. */
export function tunnelKey(text: string): TunnelKey {
  return { secret: Buffer.from(hkdfSync('sha256', text, '', 'drover rpc tunnel', 32)) }
}

/**
 * TLS 1.3 by a pre-shared key (RFC 8446, 2.2) with an ephemeral key exchange: both ends prove that they have the key,
 * and what was recorded cannot be read with it later. The cipher is the one whose hash such keys are bound to.
 */
const common = {
  minVersion: 'TLSv1.3',
  ciphers: 'TLS_AES_128_GCM_SHA256',
} as const satisfies SecureContextOptions

export function serverTls({ secret }: TunnelKey): TlsOptions {
  return { ...common, pskCallback: (_socket, name) => (name === identity ? secret : null) }
}

export function clientTls({ secret }: TunnelKey): ConnectionOptions {
  return {
    ...common,
    pskCallback: (): PSKCallbackNegotation => ({ identity, psk: secret }),
    // Asked only about a certificate: a server that has one in place of the key is another.
    checkServerIdentity: () => new Error('it has a certificate, and not the key'),
  }
}
