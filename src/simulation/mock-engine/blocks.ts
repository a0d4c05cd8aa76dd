/**
 * One hash for each whole block of tokens, each made of the block and of everything before it, so that equal hashes
 * mean equal prefixes. `salt` keeps apart what may not share a cache. 52 bits, in a whole number.
 */
export function blockHashes(tokens: readonly number[], blockTokens: number, salt = 0): number[] {
  const hashes: number[] = []
  // Two FNV-1a hashes over 32-bit words with different starts: one alone would collide within a day of load.
  let low = 0x811c9dc5 ^ salt
  let high = 0x9e3779b9 ^ salt
  const whole = tokens.length - (tokens.length % blockTokens)
  for (let index = 0; index < whole; index++) {
    const token = tokens[index] as number
    low = Math.imul(low ^ token, 0x01000193)
    low ^= low >>> 15
    high = Math.imul(high ^ token, 0x85ebca6b)
    high ^= high >>> 13
    if ((index + 1) % blockTokens === 0) hashes.push((high >>> 12) * 2 ** 32 + (low >>> 0))
  }
  return hashes
}
