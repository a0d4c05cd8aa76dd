import { gzipSync, zstdCompressSync } from 'node:zlib'
import { type Operation, operations } from '../../src/api/openapi/operations.ts'

/** A request as it goes over the wire, in pieces with pauses between them. */
export interface FuzzedRequest {
  /** For the message of a failure. */
  what: string
  operation: Operation
  pieces: Buffer[]
  /** The client closes its half at the end, or the whole connection. */
  ending: 'keep' | 'half' | 'reset'
  /** It is no proper HTTP, so that the server cannot always know whose words to refuse it in. */
  isBroken: boolean
}

type Random = () => number

/** Numbers from 0 to 1 that follow from a seed (a linear congruential generator). */
export function randomOf(seed: number): Random {
  let state = (seed * 2_654_435_761) >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}

const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)] as T

/** One malformed request, or a well-formed one with senseless content, to any route. */
export function fuzzedRequest(seed: number): FuzzedRequest {
  const random = randomOf(seed)
  const operation = pick(random, operations)
  const path = operation.path.replace(/\{\w+\}/g, () => encodeURIComponent(pick(random, names)))
  const build = random() < 0.7 ? withBody : broken
  return { operation, ...build(random, operation, path) }
}

type Built = Omit<FuzzedRequest, 'operation'>

/** Names of models, digests, paths: none of them can be pulled from anywhere. */
const names = [
  '',
  'none',
  'x y',
  '../../etc/passwd',
  'a'.repeat(400),
  'sha256:00',
  `sha256:${'0'.repeat(64)}`,
  'ü:\u0000',
  'http://',
  '127.0.0.1:1/..',
]

function withBody(random: Random, operation: Operation, path: string): Built {
  const { what, body } = bodyOf(random, operation)
  const encoding = pick(random, ['', '', '', '', 'zstd', 'gzip', 'br', 'x'])
  const sent = encode(random, encoding, body)
  const headers = [
    'Host: 127.0.0.1',
    `Content-Length: ${sent.length}`,
    ...(random() < 0.5
      ? [`Content-Type: ${pick(random, ['application/json', 'text/plain', 'a/b;;', 'multipart/form-data'])}`]
      : []),
    ...(encoding === '' ? [] : [`Content-Encoding: ${encoding}`]),
    ...(random() < 0.1
      ? [`Origin: ${pick(random, ['null', 'http://evil.example', 'http://localhost', '\u00ff'])}`]
      : []),
  ]
  const head = `${operation.method.toUpperCase()} ${path} HTTP/1.1\r\n${headers.join('\r\n')}\r\n\r\n`
  const slow = random() < 0.05
  const cut = Math.floor(sent.length / 2)
  const pieces = slow
    ? [Buffer.from(head, 'latin1'), sent.subarray(0, cut), sent.subarray(cut)]
    : [Buffer.concat([Buffer.from(head, 'latin1'), sent])]
  return {
    what: `${what}${encoding && `, ${encoding}`}${slow ? ', slowly' : ''}`,
    pieces,
    ending: 'keep',
    isBroken: false,
  }
}

function encode(random: Random, encoding: string, body: Buffer): Buffer {
  if (encoding === 'zstd') {
    const whole = zstdCompressSync(body)
    return random() < 0.5 ? whole : whole.subarray(0, Math.floor(whole.length * random()))
  }
  return encoding === 'gzip' ? gzipSync(body) : body
}

const values: readonly ((random: Random) => string)[] = [
  () => 'null',
  () => 'true',
  () => '-1',
  () => '1e999',
  () => '99999999999999999999999999',
  () => '1.5',
  () => '""',
  () => '[]',
  () => '{}',
  () => '"\\ud800"',
  (random) => JSON.stringify(pick(random, names)),
  (random) => JSON.stringify('x'.repeat(Math.floor(random() * 100_000))),
  (random) => '['.repeat(Math.floor(random() * 20_000)),
  (random) => `[${values[Math.floor(random() * 8)]?.(random)},"a",{"b":[1]}]`,
  (random) => `{"type":${values[Math.floor(random() * 8)]?.(random)},"role":"user","content":"x"}`,
]

function bodyOf(random: Random, { request }: Operation): { what: string; body: Buffer } {
  const schema = request && 'jsonSchema' in request ? request.jsonSchema : {}
  const properties = Object.keys((schema as { properties?: object }).properties ?? { x: {} })
  const count = Math.floor(random() * 6)
  const members = Array.from({ length: count }, () => {
    const name = pick(random, properties)
    return `${JSON.stringify(random() < 0.2 ? name.toUpperCase() : name)}:${pick(random, values)(random)}`
  })
  const json = `{${members.join(',')}}`
  const kind = Math.floor(random() * 8)
  if (kind === 0)
    return { what: 'cut off', body: Buffer.from(json.slice(0, Math.floor(json.length * random()))) }
  if (kind === 1)
    return { what: 'bytes', body: Buffer.from(Array.from({ length: 200 }, () => random() * 256)) }
  if (kind === 2)
    return {
      what: 'no UTF-8',
      body: Buffer.concat([Buffer.from('{"model":"'), Buffer.from([0xff, 0xc0, 0x80]), Buffer.from('"}')]),
    }
  if (kind === 3) return { what: 'nested', body: Buffer.from(`${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`) }
  if (kind === 4)
    return { what: 'no object', body: Buffer.from(pick(random, ['', ' ', 'null', '[]', '"x"', '1', 'x'])) }
  return { what: 'members', body: Buffer.from(json) }
}

/** What is no proper HTTP. */
function broken(random: Random, operation: Operation, path: string): Built {
  const method = operation.method.toUpperCase()
  const line = `${method} ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n`
  const one = (what: string, text: string, ending: Built['ending'] = 'keep'): Built => ({
    what,
    pieces: [Buffer.from(text, 'latin1')],
    ending,
    isBroken: true,
  })
  const garbage = Array.from({ length: 100 }, () => String.fromCharCode(random() * 256)).join('')
  const many = Array.from({ length: 3000 }, (_, index) => `X-${index}: ${index}`).join('\r\n')
  return pick(random, [
    () =>
      one(
        'another method',
        `${pick(random, ['PUT', 'PATCH', 'BREW', 'get', 'OPTIONS', 'TRACE'])} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`,
        'half',
      ),
    () => one('no HTTP', `${garbage}\r\n\r\n`, 'half'),
    () => one('another version', `${method} ${path} HTTP/9.9\r\nHost: x\r\n\r\n`, 'half'),
    () => one('no host', `${method} ${path} HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}`),
    () =>
      one(
        'a foreign host',
        `${method} ${path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 2\r\n\r\n{}`,
      ),
    () => one('a body that is too short', `${line}Content-Length: 100\r\n\r\n{"model":"x"`, 'half'),
    () => one('a body that never ends', `${line}Content-Length: 100\r\n\r\n{"model":"x"`, 'reset'),
    () => one('two lengths', `${line}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`, 'half'),
    () => one('a bad length', `${line}Content-Length: -5\r\n\r\n{}`, 'half'),
    () => one('bad chunks', `${line}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`, 'half'),
    () =>
      one(
        'length and chunks',
        `${line}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
        'half',
      ),
    () => one('many headers', `${line}${many}\r\nContent-Length: 2\r\n\r\n{}`),
    () => one('a long header', `${line}X: ${'x'.repeat(1_200_000)}\r\n\r\n`, 'half'),
    () =>
      one(
        'a long path',
        `${method} ${path}${'/x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`,
      ),
    () =>
      one('a bad escape', `${method} ${path}%zz%ff HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n`),
    () => one('garbage behind a request', `${line}Content-Length: 2\r\n\r\n{}${garbage}`, 'half'),
    () => one('a header without end', `${line}X: 1`, 'reset'),
  ])()
}
