import type { IncomingMessage, ServerResponse } from 'node:http'

const loopbackNames = ['localhost', '127.0.0.1', '0.0.0.0']

/** Browser origins that are accepted whatever the configuration says, as in Ollama. */
export const defaultOrigins: readonly string[] = [
  ...loopbackNames.flatMap((name) => [
    `http://${name}`,
    `https://${name}`,
    `http://${name}:*`,
    `https://${name}:*`,
  ]),
  'app://*',
  'file://*',
  'tauri://*',
  'vscode-webview://*',
  'vscode-file://*',
]

const stainlessHeaders = [
  'Arch',
  'Async',
  'Custom-Poll-Interval',
  'Helper-Method',
  'Lang',
  'Os',
  'Package-Version',
  'Poll-Helper',
  'Retry-Count',
  'Runtime',
  'Runtime-Version',
  'Timeout',
]

const allowedHeaders = [
  'Authorization',
  'Content-Type',
  'User-Agent',
  'Accept',
  'X-Requested-With',
  'Openai-Beta',
  ...stainlessHeaders.map((name) => `X-Stainless-${name}`),
].join(',')

const allowedMethods = 'GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS'
const preflightMaxAgeSeconds = '43200'

/** What a request's `Origin` means: no cross-origin request, refused, an answered preflight, or go on. */
type OriginVerdict = 'pass' | 'refuse' | 'preflight'

/** Checks a request's origin against the accepted ones and sets the headers of cross-origin answers. */
export function createOriginCheck(
  configured: readonly string[],
): (request: IncomingMessage, response: ServerResponse) => OriginVerdict {
  const origins = [...configured, ...defaultOrigins]
  const acceptsAll = origins.includes('*')
  return (request, response) => {
    const origin = request.headers.origin ?? ''
    const host = request.headers.host ?? ''
    if (origin === '' || origin === `http://${host}` || origin === `https://${host}`) return 'pass'
    if (!acceptsAll && !origins.some((pattern) => matches(pattern, origin))) return 'refuse'
    const preflight = request.method === 'OPTIONS'
    response.setHeader('access-control-allow-origin', acceptsAll ? '*' : origin)
    if (!acceptsAll) response.setHeader('vary', preflight ? varyOfPreflight : 'Origin')
    if (!preflight) return 'pass'
    response.setHeader('access-control-allow-methods', allowedMethods)
    response.setHeader('access-control-allow-headers', allowedHeaders)
    response.setHeader('access-control-max-age', preflightMaxAgeSeconds)
    return 'preflight'
  }
}

const varyOfPreflight = ['Origin', 'Access-Control-Request-Method', 'Access-Control-Request-Headers']

function matches(pattern: string, origin: string): boolean {
  const star = pattern.indexOf('*')
  if (star < 0) return pattern === origin
  const head = pattern.slice(0, star)
  const tail = pattern.slice(star + 1)
  return origin.length >= head.length + tail.length && origin.startsWith(head) && origin.endsWith(tail)
}
