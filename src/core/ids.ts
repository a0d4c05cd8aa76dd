import { randomBytes } from 'node:crypto'

const lowerAlphanumeric = 'abcdefghijklmnopqrstuvwxyz0123456789'

/** `length` random characters of `[a-z0-9]`, from the system's secure source. */
export function randomId(length: number): string {
  let id = ''
  // 252 is the largest multiple of 36 within a byte; bytes above it would favour the first letters.
  while (id.length < length) {
    for (const byte of randomBytes(length)) {
      if (byte < 252 && id.length < length) id += lowerAlphanumeric[byte % 36]
    }
  }
  return id
}

/** `bytes` random bytes as lower-case hexadecimal: secrets, request ids. */
export function randomHex(bytes: number): string {
  return randomBytes(bytes).toString('hex')
}
