/** Turns tokens' bytes into text that may be shown: whole characters, and nothing of a stop string. */
export interface TextStream {
  /** Takes a token's bytes; gives all the text since the last, or none of it, and the stop string once it is complete. */
  push(bytes: Uint8Array): { text: string; stop?: string }
  /** Whether something of the bytes so far was not given yet. */
  holds(): boolean
  /** No more bytes come: gives the text that was held back. Bytes of an unfinished character are dropped. */
  end(): string
}

const noBytes = new Uint8Array(0)

/**
 * Holds back what ends in incomplete UTF-8, or in what may yet become one of `stops` (empty ones are ignored): all of
 * it, so that the text that was given is that of whole tokens. Bytes that no UTF-8 can begin with become U+FFFD.
 */
export function createTextStream(stops: readonly string[]): TextStream {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const wanted = stops.filter((stop) => stop !== '')
  let unfinished: Uint8Array = noBytes
  let held = ''

  return {
    push(bytes) {
      const all = unfinished.length > 0 ? Buffer.concat([unfinished, bytes]) : bytes
      const whole = all.length - unfinishedLength(all)
      unfinished = all.subarray(whole)
      held += decoder.decode(all.subarray(0, whole))
      const found = firstStop(held, wanted)
      if (found) {
        const text = held.slice(0, found.index)
        held = ''
        return { text, stop: found.stop }
      }
      const open = unfinished.length > 0 || endsLikeStop(held, wanted)
      return { text: open ? '' : take() }
    },
    holds: () => held !== '' || unfinished.length > 0,
    end: take,
  }

  function take(): string {
    const text = held
    held = ''
    return text
  }
}

/** How many bytes at the end are the beginning of a character. */
function unfinishedLength(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back] ?? 0
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
    // 0x80 to 0xbf go on with a character.
    if (byte < 0x80 || byte >= 0xc0) return length > back ? back : 0
  }
  return 0
}

/** The stop string that begins first in `text`; of several at one place, the longest. */
function firstStop(text: string, stops: readonly string[]): { index: number; stop: string } | undefined {
  let first: { index: number; stop: string } | undefined
  for (const stop of stops) {
    const index = text.indexOf(stop)
    if (
      index < 0 ||
      (first && (index > first.index || (index === first.index && stop.length <= first.stop.length)))
    )
      continue
    first = { index, stop }
  }
  return first
}

/** Whether a stop string may have begun at the end of `text`. */
function endsLikeStop(text: string, stops: readonly string[]): boolean {
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
      if (text.endsWith(stop.slice(0, length))) return true
    }
  }
  return false
}
