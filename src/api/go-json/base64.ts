import { DecodeError } from './errors.ts'

const wellFormed = /^[A-Za-z0-9+/]*={0,2}$/
const isLetter = /[A-Za-z0-9+/]/

/**
 * Standard base64 with padding; line breaks are skipped.
 * Throws a `DecodeError` as Go's `base64.StdEncoding` does: `illegal base64 data at input byte N`.
 */
export function decodeBase64(text: string): Uint8Array {
  if (text.length % 4 !== 0 || !wellFormed.test(text)) {
    const corruptAt = firstCorruptByte(text)
    if (corruptAt !== undefined) throw new DecodeError(`illegal base64 data at input byte ${corruptAt}`)
  }
  return Buffer.from(text, 'base64')
}

/**
 * Offset that Go reports (decodeQuantum of encoding/base64): the byte that does not belong, or, when the input
 * stops within a group of four, the group's start as Go counts it. Undefined when nothing is wrong.
 */
function firstCorruptByte(text: string): number | undefined {
  let inGroup = 0
  let at = 0
  for (; at < text.length; at++) {
    const letter = text.charAt(at)
    if (letter === '\n' || letter === '\r') continue
    if (isLetter.test(letter)) inGroup = (inGroup + 1) % 4
    else if (letter === '=' && inGroup >= 2) return corruptPadding(text, at, inGroup)
    else return Buffer.byteLength(text.slice(0, at))
  }
  return inGroup === 0 ? undefined : at - inGroup
}

function corruptPadding(text: string, paddingAt: number, inGroup: number): number | undefined {
  const skipBreaks = (from: number) => {
    let at = from
    while (text[at] === '\n' || text[at] === '\r') at++
    return at
  }
  let at = skipBreaks(paddingAt + 1)
  if (inGroup === 2) {
    if (at === text.length) return text.length
    if (text[at] !== '=') return at - 1
    at = skipBreaks(at + 1)
  }
  return at < text.length ? at : undefined
}
