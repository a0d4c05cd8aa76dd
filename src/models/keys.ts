import { createPrivateKey, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DroverError } from '../inference/index.ts'
import { codeOf, isMissing, temporaryPath } from './files.ts'

/*
 * The key that Ollama's registry knows a person by: `~/.ollama/id_ed25519`, an unencrypted Ed25519 key in OpenSSH's
 * own format (PROTOCOL.key of OpenSSH), with its public half beside it.
 */

/** A key that signs requests. */
export interface SigningKey {
  /** The public key in SSH's wire format, base64: the middle word of an `authorized_keys` line. */
  publicKey: string
  /** The Ed25519 signature of a text, base64. */
  sign(text: string): string
}

const keyType = 'ssh-ed25519'
const magic = Buffer.from('openssh-key-v1\0')
const pemLabel = 'OPENSSH PRIVATE KEY'
const seedBytes = 32

/** An Ed25519 key as its two halves. */
interface KeyPair {
  seed: Buffer
  publicKey: Buffer
}

/**
 * Reads the key file, or makes one (readable by its owner only, with a `.pub` beside it) where there is none.
 * Throws `internal` naming the file where it cannot be read, is encrypted, or is a key of another kind.
 */
export async function loadSigningKey(path: string): Promise<SigningKey> {
  const text = await readFile(path, 'utf8').catch(async (error: unknown) => {
    if (isMissing(error)) return createKey(path)
    throw unusable(path, error instanceof Error ? error.message : String(error), error)
  })
  const { seed, publicKey } = decodePrivateKey(path, text)
  const key = toKeyObject(seed, publicKey)
  return {
    publicKey: wirePublicKey(publicKey).toString('base64'),
    sign: (signed) => sign(null, Buffer.from(signed), key).toString('base64'),
  }
}

/** Makes a key and returns the file's text: of the other process's file where one was faster. */
async function createKey(path: string): Promise<string> {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519')
  const pair = {
    seed: Buffer.from(privateKey.export({ format: 'jwk' }).d ?? '', 'base64url'),
    publicKey: Buffer.from(publicKey.export({ format: 'jwk' }).x ?? '', 'base64url'),
  }
  await mkdir(dirname(path), { recursive: true })
  const temporary = temporaryPath(dirname(path))
  try {
    await writeFile(temporary, encodePrivateKey(pair), { mode: 0o600, flag: 'wx', flush: true })
    await link(temporary, path)
    await writeFile(`${path}.pub`, `${keyType} ${wirePublicKey(pair.publicKey).toString('base64')}\n`)
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw unusable(path, String(error), error)
  } finally {
    await rm(temporary, { force: true })
  }
  return readFile(path, 'utf8')
}

function toKeyObject(seed: Buffer, publicKey: Buffer): KeyObject {
  const jwk = {
    kty: 'OKP',
    crv: 'Ed25519',
    d: seed.toString('base64url'),
    x: publicKey.toString('base64url'),
  }
  return createPrivateKey({ key: jwk, format: 'jwk' })
}

function encodePrivateKey({ seed, publicKey }: KeyPair): string {
  // The same random number twice: what tells a right password from a wrong one, in keys that have one.
  const check = randomBytes(4)
  const secret = Buffer.concat([
    check,
    check,
    field(keyType),
    field(publicKey),
    field(Buffer.concat([seed, publicKey])),
    field(''),
  ])
  const blockBytes = 8
  const paddingBytes = (blockBytes - (secret.length % blockBytes)) % blockBytes
  const padding = Buffer.from(Array.from({ length: paddingBytes }, (_, index) => index + 1))
  const body = Buffer.concat([
    magic,
    field('none'),
    field('none'),
    field(''),
    uint32(1),
    field(wirePublicKey(publicKey)),
    field(Buffer.concat([secret, padding])),
  ])
  const lines = body.toString('base64').match(/.{1,70}/g) ?? []
  return [`-----BEGIN ${pemLabel}-----`, ...lines, `-----END ${pemLabel}-----`, ''].join('\n')
}

function decodePrivateKey(path: string, text: string): KeyPair {
  const [, base64] =
    new RegExp(`-----BEGIN ${pemLabel}-----([^-]+)-----END ${pemLabel}-----`).exec(text) ?? []
  const body = Buffer.from(base64 ?? '', 'base64')
  if (!body.subarray(0, magic.length).equals(magic)) throw unusable(path, 'it is not an OpenSSH private key')
  const outer = reader(body.subarray(magic.length))
  const cipher = outer.field().toString()
  if (cipher !== 'none') throw unusable(path, `it is encrypted with ${cipher}`)
  outer.field()
  outer.field()
  outer.skip(4)
  outer.field()
  const secret = reader(outer.field())
  secret.skip(8)
  const type = secret.field().toString()
  if (type !== keyType)
    throw unusable(path, `it is a key of the kind ${JSON.stringify(type)}, not ${keyType}`)
  const publicKey = secret.field()
  const seed = secret.field().subarray(0, seedBytes)
  if (publicKey.length !== seedBytes || seed.length !== seedBytes) throw unusable(path, 'it is cut short')
  return { seed, publicKey }
}

function wirePublicKey(publicKey: Buffer): Buffer {
  return Buffer.concat([field(keyType), field(publicKey)])
}

/** Bytes with their length before them, as SSH writes strings. */
function field(content: string | Buffer): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([uint32(bytes.length), bytes])
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** Takes fields from the front; what is cut short comes out empty or shorter. */
function reader(bytes: Buffer): { field(): Buffer; skip(count: number): void } {
  let at = 0
  return {
    field() {
      const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : 0
      const content = bytes.subarray(at + 4, at + 4 + length)
      at += 4 + length
      return content
    },
    skip(count) {
      at += count
    },
  }
}

function unusable(path: string, problem: string, cause?: unknown): DroverError {
  const advice = 'move it away and a new one is made, which has to be registered anew with the registry'
  return new DroverError('internal', `key ${path} cannot be used (${problem}): ${advice}`, { cause })
}
