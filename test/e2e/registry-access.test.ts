import { createHash, createPublicKey, verify } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { type Fault, type HostileProxy, startHostileProxy } from '../support/hostile-proxy.ts'
import { allOf, contentOf, openRegistry, writeRandomModel } from '../support/registry-models.ts'

const never = new AbortController().signal
const insecure = { insecure: true }
const token = 'the-token'

let docker: DockerRegistry
/** The registry itself, and another host that has the blobs. */
let proxy: HostileProxy
let cdn: HostileProxy
let folder: string
let source: string
let target: string
let name: string

beforeAll(async () => {
  docker = await startDockerRegistry()
})
afterAll(() => docker.stop())

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-access-'))
  source = join(folder, 'source')
  target = join(folder, 'target')
  proxy = await startHostileProxy(docker.host)
  cdn = await startHostileProxy(docker.host)
  name = `${proxy.host}/some/model:latest`
  await writeRandomModel(source, name, 700_000)
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await proxy.stop()
  await cdn.stop()
  await rm(folder, { recursive: true, force: true })
})

async function push(text = name) {
  const { registry } = await openRegistry(source)
  return allOf(registry.push(text, insecure, never))
}

async function pull(text = name) {
  const { registry } = await openRegistry(target)
  return allOf(registry.pull(text, insecure, never))
}

/** Answers a question for a token as a registry does, after checking who signed it. */
function tokenAnswer(path: string, headers: IncomingMessage['headers'], realm: string): Fault {
  const [publicKey = '', signature = ''] = (headers.authorization ?? '').split(':')
  const x = Buffer.from(publicKey, 'base64').subarray(-32).toString('base64url')
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' })
  // The SHA-256 of nothing, in hexadecimal, in base64: what stands for the empty body of the request.
  const empty = 'ZTNiMGM0NDI5OGZjMWMxNDlhZmJmNGM4OTk2ZmI5MjQyN2FlNDFlNDY0OWI5MzRjYTQ5NTk5MWI3ODUyYjg1NQ=='
  const signed = `GET,${realm}${path},${empty}`
  const good = verify(null, Buffer.from(signed), key, Buffer.from(signature, 'base64'))
  const { searchParams } = new URL(path, realm)
  const fresh = Math.abs(Number(searchParams.get('ts')) - Date.now() / 1000) < 60
  if (!good || !fresh || (searchParams.get('nonce') ?? '').length < 20)
    return { status: 403, body: 'bad signature' }
  return { status: 200, body: JSON.stringify({ token }) }
}

/** Makes the proxy ask for a token, and give one at `/token`. */
function askForToken(realm = `http://${proxy.host}`): void {
  proxy.mischief = ({ path, headers }) => {
    if (path.startsWith('/token')) return tokenAnswer(path, headers, realm)
    if (headers.authorization === `Bearer ${token}`) return undefined
    const challenge = `Bearer realm="${realm}/token",service="registry",scope="repository:some/model:pull,push one:more"`
    return { status: 401, headers: { 'www-authenticate': challenge } }
  }
}

describe('a registry that asks who is there', () => {
  it('gets a signature of the key, and the token is used for everything that follows', async () => {
    askForToken()
    await push()
    await pull()
    expect(await contentOf(target)).toEqual(await contentOf(source))
    const asked = proxy.requests.filter(({ path }) => path.startsWith('/token'))
    expect(asked).toHaveLength(2)
    const scopes = new URL(asked[0]?.path ?? '', 'http://x').searchParams.getAll('scope')
    expect(scopes).toEqual(['repository:some/model:pull,push', 'one:more'])
    const publicKey = (await readFile(join(folder, 'id_ed25519.pub'), 'utf8')).split(' ')[1]?.trim()
    expect(asked[1]?.headers.authorization).toMatch(`${publicKey}:`)
  })

  it('gets a new token when the old one is no longer good', async () => {
    await push()
    askForToken()
    const { registry } = await openRegistry(target)
    await allOf(registry.pull(name, insecure, never))
    const asks = proxy.mischief
    let expired = false
    proxy.mischief = (request) => {
      if (expired || request.path.startsWith('/token')) return asks(request)
      expired = true
      return asks({ ...request, headers: {} })
    }
    await allOf(registry.pull(name, insecure, never))
    expect(proxy.requests.filter(({ path }) => path.startsWith('/token'))).toHaveLength(2)
  })

  it("and lets nobody in is told of in Ollama's words", async () => {
    proxy.mischief = ({ path, headers }) =>
      path.startsWith('/token')
        ? tokenAnswer(path, headers, `http://${proxy.host}`)
        : { status: 401, headers: { 'www-authenticate': `Bearer realm="http://${proxy.host}/token"` } }
    await expect(pull()).rejects.toThrow('pull model manifest: unauthorized: access denied')
    proxy.mischief = () => ({ status: 401 })
    await expect(pull()).rejects.toThrow('pull model manifest: unauthorized: access denied')
    proxy.mischief = ({ path }) =>
      path.startsWith('/token')
        ? { status: 403, body: 'key unknown' }
        : { status: 401, headers: { 'www-authenticate': `Bearer realm="http://${proxy.host}/token"` } }
    await expect(pull()).rejects.toThrow('pull model manifest: 403: key unknown')
    proxy.mischief = () => ({ status: 412, body: 'needs a newer version' })
    await expect(pull()).rejects.toThrow('pull model manifest: 412: needs a newer version')
  })

  it('gets no signature for another host', async () => {
    askForToken(`http://${cdn.host}`)
    await expect(pull()).rejects.toThrow(
      `pull model manifest: realm host "${cdn.host}" does not match original host "${proxy.host}"`,
    )
    expect(cdn.requests).toEqual([])
  })
})

describe('a registry that leads elsewhere', () => {
  it('gets its token, and the other host does not', async () => {
    await push()
    askForToken()
    const asks = proxy.mischief
    proxy.mischief = (request) => {
      const refused = asks(request)
      if (refused || !request.path.includes('/blobs/')) return refused
      return { status: 307, headers: { location: `http://${cdn.host}${request.path}` } }
    }
    await pull()
    expect(await contentOf(target)).toEqual(await contentOf(source))
    expect(cdn.requests.length).toBeGreaterThan(4)
    expect(cdn.requests.filter(({ headers }) => headers.authorization !== undefined)).toEqual([])
  })

  it('is asked again when the address it gave is no longer good', async () => {
    await push()
    proxy.mischief = ({ path }) =>
      path.includes('/blobs/')
        ? { status: 307, headers: { location: `http://${cdn.host}${path}?from=${proxy.requests.length}` } }
        : undefined
    let refused = 0
    cdn.mischief = ({ headers }) =>
      headers.range !== 'bytes=0-0' && refused++ < 3 ? { status: 403, body: 'expired' } : undefined
    await pull()
    expect(await contentOf(target)).toEqual(await contentOf(source))
    expect(refused).toBeGreaterThan(3)
  })

  it('in a circle is given up', async () => {
    proxy.mischief = ({ path }) => ({ status: 302, headers: { location: path } })
    await expect(pull()).rejects.toThrow('maximum redirects exceeded (10)')
    expect(proxy.requests).toHaveLength(11)
  })
})

describe('a name of another host', () => {
  it('leads through the proxy of the environment, and NO_PROXY leads past it', async () => {
    await push()
    vi.stubEnv('http_proxy', `http://${proxy.host}`)
    vi.stubEnv('no_proxy', '')
    proxy.requests.length = 0
    await pull('hf.co/some/model')
    expect(proxy.requests[0]?.path).toBe('/v2/some/model/manifests/latest')
    expect(proxy.requests[0]?.headers.host).toBe('hf.co')
    const names = (await contentOf(target)).filter((line) => line.startsWith('/manifests'))
    expect(names).toEqual([expect.stringMatching(/^\/manifests\/hf\.co\/some\/model\/latest /)])
    proxy.requests.length = 0
    await pull('http://huggingface.co/some/model:latest')
    expect(proxy.requests[0]?.headers.host).toBe('huggingface.co')
    vi.stubEnv('no_proxy', proxy.host)
    vi.stubEnv('http_proxy', 'http://127.0.0.1:9')
    await pull()
    await expect(pull('hf.co/some/other')).rejects.toThrow(/^pull model manifest: Get "http:\/\/hf.co/)
  })
})

describe('a push', () => {
  it('begins a blob anew that was cut, and gives up a registry that goes on failing', async () => {
    let cuts = 0
    proxy.mischief = ({ method }) =>
      method === 'PATCH' && cuts++ < 2 ? { cutRequestAt: 100_000 } : undefined
    await push()
    await pull()
    expect(await contentOf(target)).toEqual(await contentOf(source))
    const other = `${proxy.host}/some/other:latest`
    await writeRandomModel(source, other, 700_000)
    proxy.mischief = ({ method }) => (method === 'PATCH' ? { status: 500, body: 'broken' } : undefined)
    await expect(push(other)).rejects.toMatchObject({ code: 'internal', message: '500: broken' })
  })

  it('that is cancelled ends at once', async () => {
    proxy.mischief = ({ method }) => (method === 'PATCH' ? { delayMs: 5000 } : undefined)
    const cancel = new AbortController()
    const { registry } = await openRegistry(source)
    const pushing = allOf(registry.push(name, insecure, cancel.signal))
    setTimeout(() => cancel.abort(), 100)
    const startedAt = performance.now()
    await expect(pushing).rejects.toThrow('abort')
    expect(performance.now() - startedAt).toBeLessThan(1000)
  })
})

describe('a registry that wants parts elsewhere', () => {
  /** Takes parts as an object store does, and says what came in the end. */
  let server: Server
  let host: string
  const received = new Map<string, Buffer>()
  let failing = 0
  let committed = ''

  beforeEach(async () => {
    received.clear()
    server = createServer(async (request, response) => {
      const { method, url = '', headers } = request
      if (method === 'HEAD') return response.writeHead(404).end()
      if (method === 'POST') return response.writeHead(202, { location: '/upload/0' }).end()
      if (method === 'PATCH') {
        expect(headers['x-redirect-uploads']).toBe('1')
        const part = Number(url.slice('/upload/'.length))
        const redirect = {
          location: `http://${host}/store/${headers['content-range']}`,
          'docker-upload-location': `/upload/${part + 1}`,
        }
        request.resume()
        return response.writeHead(307, redirect).end()
      }
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk)
      if (url.startsWith('/store/') && failing-- > 0) return response.writeHead(503).end()
      if (url.startsWith('/store/')) received.set(url.slice('/store/'.length), Buffer.concat(chunks))
      else if (url.startsWith('/upload/') && committed === '') committed = url
      return response.writeHead(201).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  it('gets them there, several at once, each again where it failed, and their checksum at the end', async () => {
    const elsewhere = `${host}/some/model:latest`
    const weights = await writeRandomModel(source, elsewhere, 700_000)
    failing = 2
    const pushed = await push(elsewhere)
    const bytes = await readFile(join(source, 'blobs', weights.replace(':', '-')))
    const ranges = ['0-262143', '262144-524287', '524288-699999']
    expect(Buffer.concat(ranges.map((range) => received.get(range) ?? Buffer.alloc(0)))).toEqual(bytes)
    const query = new URL(committed, 'http://x').searchParams
    expect(committed).toMatch(/^\/upload\/3\?/)
    expect(query.get('digest')).toBe(weights)
    const md5 = (content: Buffer) => createHash('md5').update(content).digest()
    const sums = ranges.map((range) => md5(received.get(range) ?? Buffer.alloc(0)))
    expect(query.get('etag')).toBe(`${md5(Buffer.concat(sums)).toString('hex')}-3`)
    expect(pushed.findLast(({ digest }) => digest === weights)?.completed).toBe(700_000)
  })
})
