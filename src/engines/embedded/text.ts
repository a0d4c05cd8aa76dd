/** Turns tokens' bytes into text that may be shown: whole characters, and nothing of a stop string. */
export interface TextStream {
  /** Takes a token's bytes; gives the text that is certain now, and the stop string once it is complete. */
  push(bytes: Uint8Array): { text: string; stop?: string }
  /** No more bytes come: gives the text that was held back. Bytes of an unfinished character are dropped. */
  end(): string
}

/**
 * Holds back incomplete UTF-8 and every suffix that may yet become one of `stops` (empty ones are ignored).
 * Bytes that no UTF-8 can begin with become U+FFFD.
 */
export function createTextStream(stops: readonly string[]): TextStream {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const wanted = stops.filter((stop) => stop !== '')
  let held = ''

  return {
    push(bytes) {
      held += decoder.decode(bytes, { stream: true })
      if (wanted.length === 0) return take(held.length)
      const found = firstStop(held, wanted)
      if (!found) return take(held.length - longestOpenSuffix(held, wanted))
      const text = held.slice(0, found.index)
      held = ''
      return { text, stop: found.stop }
    },
    end: () => take(held.length).text,
  }

  function take(length: number): { text: string } {
    const text = held.slice(0, length)
    held = held.slice(length)
    return { text }
  }
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

/** Length of the longest end of `text` that a stop string begins with. */
function longestOpenSuffix(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length
    }
  }
  return longest
}
