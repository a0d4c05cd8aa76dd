import { execFile } from 'node:child_process'
import { createPublicKey, verify } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadSigningKey } from './keys.ts'

const run = promisify(execFile)
let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-keys-'))
  path = join(folder, '.ollama', 'id_ed25519')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Checks a signature with nothing but the public key as it travels. */
function verified(publicKey: string, text: string, signature: string): boolean {
  const x = Buffer.from(publicKey, 'base64').subarray(-32).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  return verify(null, Buffer.from(text), key, Buffer.from(signature, 'base64'))
}

describe('the signing key', () => {
  it('is made where there is none, for its owner only, and is the same the next time', async () => {
    const made = await loadSigningKey(path)
    const read = await loadSigningKey(path)
    expect(read.publicKey).toBe(made.publicKey)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readFile(`${path}.pub`, 'utf8')).toBe(`ssh-ed25519 ${made.publicKey}\n`)
    expect(verified(made.publicKey, 'text', read.sign('text'))).toBe(true)
    expect(verified(made.publicKey, 'other text', read.sign('text'))).toBe(false)
  })

  it('that is made twice at once is one key', async () => {
    const keys = await Promise.all(Array.from({ length: 8 }, () => loadSigningKey(path)))
    expect(new Set(keys.map(({ publicKey }) => publicKey)).size).toBe(1)
    expect(await readFile(`${path}.pub`, 'utf8')).toContain(keys[0]?.publicKey)
  })

  it("is understood by OpenSSH, and OpenSSH's keys are understood here", async () => {
    const made = await loadSigningKey(path)
    const { stdout } = await run('ssh-keygen', ['-y', '-P', '', '-f', path])
    expect(stdout.split(' ')[1]?.trim()).toBe(made.publicKey)

    const theirs = join(folder, 'theirs')
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'someone@somewhere', '-f', theirs])
    const read = await loadSigningKey(theirs)
    expect(await readFile(`${theirs}.pub`, 'utf8')).toContain(read.publicKey)
    expect(verified(read.publicKey, 'text', read.sign('text'))).toBe(true)
  })

  it('that is of another kind, encrypted or no key at all is refused by name', async () => {
    const refused = async (name: string, reason: string) => {
      await expect(loadSigningKey(join(folder, name))).rejects.toThrow(
        `key ${join(folder, name)} cannot be used (${reason}`,
      )
    }
    await run('ssh-keygen', ['-q', '-t', 'ecdsa', '-N', '', '-f', join(folder, 'ecdsa')])
    await refused('ecdsa', 'it is a key of the kind "ecdsa-sha2-nistp256", not ssh-ed25519')
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', 'secret', '-f', join(folder, 'locked')])
    await refused('locked', 'it is encrypted with aes256-ctr')
    await writeFile(join(folder, 'text'), 'no key')
    await refused('text', 'it is not an OpenSSH private key')
  })
})
