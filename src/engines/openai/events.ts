/** A parsed `data:` field of a stream of server-sent events. */
export type ServerEvent = Record<string, unknown>

const newline = 0x0a
const carriageReturn = 0x0d

/**
 * Cuts server-sent events (WHATWG HTML, 9.2) into their JSON data. Bytes are cut at line ends, of either kind, before
 * they are decoded, so a character is never split; comments and other fields are passed over. `done` once `[DONE]`
 * has come. Each of these servers writes the data of an event in one line.
 */
export function createEventSplitter(): (chunk: Buffer) => { events: ServerEvent[]; done: boolean } {
  let rest: Buffer | undefined
  return (chunk) => {
    const bytes = rest ? Buffer.concat([rest, chunk]) : chunk
    const events: ServerEvent[] = []
    let done = false
    let start = 0
    for (let end = bytes.indexOf(newline); end !== -1; end = bytes.indexOf(newline, start)) {
      const data = dataIn(bytes, start, bytes[end - 1] === carriageReturn ? end - 1 : end)
      if (data === '[DONE]') done = true
      else if (data.startsWith('{')) events.push(JSON.parse(data) as ServerEvent)
      start = end + 1
    }
    rest = start < bytes.length ? bytes.subarray(start) : undefined
    return { events, done }
  }
}

const field = Buffer.from('data:')

function dataIn(bytes: Buffer, start: number, end: number): string {
  if (end - start <= field.length || bytes.compare(field, 0, field.length, start, start + field.length) !== 0)
    return ''
  return bytes.toString('utf8', start + field.length, end).trim()
}
