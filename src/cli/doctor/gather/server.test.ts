import { createServer, type RequestListener, type Server } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { recordedSystem } from '../testing.ts'
import { answers, findOllamas, lookAtServer } from './server.ts'

const open: { close(): unknown }[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  open.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

const at = (port: number) => ({ scheme: 'http', address: '127.0.0.1', port, path: '' }) as const

/** A server of these JSON answers; everything else is a 404. */
const serving =
  (answersByPath: Record<string, unknown>): RequestListener =>
  (request, response) => {
    const body = answersByPath[request.url ?? '']
    response.statusCode = body === undefined ? 404 : 200
    response.end(body === undefined ? '404 page not found' : JSON.stringify(body))
  }

describe('what listens at the address', () => {
  it('is Drover, by its devices', async () => {
    const report = { devices: [{ id: 'cpu', health: { state: 'healthy', reasons: [] }, instances: [] }] }
    const port = await listening(
      createServer(serving({ '/api/version': { version: '0.31.2' }, '/api/devices': report })),
    )
    expect(await lookAtServer(at(port))).toMatchObject({
      state: 'drover',
      isLocal: true,
      version: '0.31.2',
      report: { devices: [{ id: 'cpu' }] },
    })
  })

  it('is Ollama, which knows no devices', async () => {
    const port = await listening(createServer(serving({ '/api/version': { version: '0.12.3' } })))
    expect(await lookAtServer(at(port))).toMatchObject({ state: 'ollama', version: '0.12.3' })
    expect(await answers(`http://127.0.0.1:${port}/`)).toBe(true)
  })

  it('is something else', async () => {
    const port = await listening(createServer((_request, response) => response.end('<html>hello</html>')))
    expect(await lookAtServer(at(port))).toMatchObject({ state: 'other' })
    expect(await answers(`http://127.0.0.1:${port}`)).toBe(false)
  })

  it('says nothing, or nothing in HTTP', async () => {
    const garbage = await listening(createTcpServer((socket) => socket.end('SSH-2.0-OpenSSH_9\r\n')))
    expect(await lookAtServer(at(garbage))).toMatchObject({ state: 'silent' })
    const mute = createTcpServer((socket) => socket.on('error', () => socket.destroy()))
    expect(await lookAtServer(at(await listening(mute)))).toMatchObject({ state: 'silent' })
  })

  it('is nobody', async () => {
    const server = createTcpServer()
    const port = await listening(server)
    await new Promise((resolve) => server.close(resolve))
    open.length = 0
    expect(await lookAtServer(at(port))).toEqual({
      url: `http://127.0.0.1:${port}`,
      isLocal: true,
      state: 'free',
    })
  })
})

it('servers of Ollama are found among the processes, with who started them', () => {
  const system = recordedSystem({
    '/proc/12/comm': 'ollama\n',
    '/proc/12/cmdline': '/usr/bin/ollama\0serve\0',
    '/proc/12/status': 'Name:\tollama\nPPid:\t1\n',
    '/proc/1/comm': 'systemd\n',
    '/proc/1/cmdline': '/sbin/init\0',
    '/proc/13/comm': 'ollama\n',
    '/proc/13/cmdline': 'ollama\0run\0llama3\0',
    '/proc/self/comm': 'node\n',
  })
  expect(findOllamas(system)).toEqual([{ pid: 12, command: '/usr/bin/ollama serve', parent: '/sbin/init' }])
})
