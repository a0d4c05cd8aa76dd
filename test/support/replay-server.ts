import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What a server was asked. */
export interface AskedRequest {
  /** `POST /v1/completions` */
  route: string
  body: Record<string, unknown>
  headers: IncomingMessage['headers']
}

export type Answer =
  | { status?: number; json: unknown }
  | { status?: number; text: string }
  /** Server-sent events; `DONE` ends them as OpenAI does, and `lineEnd` is what is between their lines. */
  | { events: readonly (unknown | 'DONE')[]; lineEnd?: string }
  /** The connection breaks after these. */
  | { events: readonly unknown[]; breaks: true }

/** Answers by route; a function sees what was asked. */
export type Answers = Record<string, Answer | ((asked: AskedRequest) => Answer)>

export interface ReplayServer {
  url: string
  requests: AskedRequest[]
  /** The bodies that a route was asked with. */
  asked(route: string): Record<string, unknown>[]
  close(): Promise<void>
}

/** A server that answers as was recorded of another, and keeps what it was asked. Unknown routes are 404. */
export async function startReplay(answers: Answers): Promise<ReplayServer> {
  const requests: AskedRequest[] = []
  const server = createServer(async (request, response) => {
    const asked = await read(request)
    requests.push(asked)
    const answer = answers[asked.route]
    if (!answer) send(response, { status: 404, json: { detail: 'Not Found' } })
    else send(response, typeof answer === 'function' ? answer(asked) : answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    asked: (route) => requests.filter((one) => one.route === route).map(({ body }) => body),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}

async function read(request: IncomingMessage): Promise<AskedRequest> {
  let text = ''
  for await (const chunk of request) text += chunk
  const body = text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
  return { route: `${request.method} ${request.url}`, body, headers: request.headers }
}

function send(response: ServerResponse, answer: Answer): void {
  if ('json' in answer) {
    response.writeHead(answer.status ?? 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(answer.json))
  } else if ('text' in answer) {
    response.writeHead(answer.status ?? 200, { 'content-type': 'text/plain' }).end(answer.text)
  } else {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const end = ('lineEnd' in answer && answer.lineEnd) || '\n'
    const written = (event: unknown) => (event === 'DONE' ? '[DONE]' : JSON.stringify(event))
    for (const event of answer.events) response.write(`data: ${written(event)}${end}${end}`)
    if ('breaks' in answer) response.destroy()
    else response.end()
  }
}
