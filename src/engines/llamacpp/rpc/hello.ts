import { connect } from 'node:net'

/** The command that every version of llama.cpp's RPC begins with. */
const helloCommand = 14
/** What a hello carries, by version: since 4.0 the transports that the caller has (none here), before nothing. */
const helloBodyBytes = [24, 0]

/**
 * Asks a worker for the version of its protocol (`8.0.0`), which only one that works can tell. Throws when it does
 * not answer within `timeoutMs`. A worker serves one connection at a time: while an engine uses it, it does not answer.
 */
export async function askProtocol(port: number, timeoutMs: number): Promise<string> {
  let failure: unknown
  for (const bodyBytes of helloBodyBytes) {
    try {
      return await hello(port, bodyBytes, timeoutMs)
    } catch (error) {
      failure = error
    }
  }
  throw failure
}

function hello(port: number, bodyBytes: number, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port })
    let answer = Buffer.alloc(0)
    const end = (error: Error | undefined, version = '') => {
      socket.destroy()
      if (error) reject(error)
      else resolve(version)
    }
    socket.setTimeout(timeoutMs, () => end(new Error(`no answer within ${timeoutMs} ms`)))
    socket.on('error', (error) => end(error))
    socket.on('close', () => end(new Error('it closed the connection without an answer')))
    socket.on('connect', () => {
      const message = Buffer.alloc(9 + bodyBytes)
      message.writeUInt8(helloCommand, 0)
      message.writeBigUInt64LE(BigInt(bodyBytes), 1)
      socket.write(message)
    })
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk])
      // The answer's size in eight bytes, then major, minor and patch in one each.
      if (answer.length >= 11) end(undefined, `${answer[8]}.${answer[9]}.${answer[10]}`)
    })
  })
}
