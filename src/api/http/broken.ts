import type { Socket } from 'node:net'

const json = 'application/json; charset=utf-8'
const plain = 'text/plain; charset=utf-8'

/** What a client reads whose bytes were no whole HTTP request, by the code of Node's parser. */
const answers: Record<string, string> = {
  // The client closed its side within the body: what came is a truncated JSON text.
  HPE_INVALID_EOF_STATE: rawReply('400 Bad Request', json, '{"error":"unexpected EOF"}'),
  HPE_HEADER_OVERFLOW: rawReply('431 Request Header Fields Too Large', plain),
  ERR_HTTP_REQUEST_TIMEOUT: rawReply('408 Request Timeout', plain),
}
const badRequest = rawReply('400 Bad Request', plain)

/** Answers what is not HTTP, or ends before it is complete, and closes the connection. */
export function answerBrokenRequest(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET') socket.destroy()
  else socket.end(answers[error.code ?? ''] ?? badRequest)
}

function rawReply(status: string, contentType: string, body = status): string {
  const length = Buffer.byteLength(body)
  return `HTTP/1.1 ${status}\r\nContent-Type: ${contentType}\r\nContent-Length: ${length}\r\nConnection: close\r\n\r\n${body}`
}
