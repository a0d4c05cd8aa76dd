import { execFile } from 'node:child_process'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as readText } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runDrover } from '../support/drover.ts'

/** Another server than Drover: it writes down what it is asked, and its models see, or embed. */
let server: Server
let env: Record<string, string> = {}
let folder = ''
const asked: { path: string; body: Record<string, unknown> }[] = []

const answers: Record<string, (model: string) => object> = {
  '/api/show': (model) => ({
    details: { family: 'test', parameter_size: '', quantization_level: '' },
    capabilities: model === 'embedder' ? ['embedding'] : ['completion', 'vision'],
  }),
  '/api/generate': () => ({ response: 'A dot.', done: true }),
  '/api/embed': () => ({ embeddings: [[0.25, -0.5]] }),
  '/api/version': () => ({ version: '0.99.0' }),
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-cli-requests-'))
  server = createServer(async (request, response) => {
    const body = JSON.parse((await readText(request)) || '{}') as Record<string, unknown>
    const path = request.url ?? ''
    asked.push({ path, body })
    response.end(JSON.stringify(answers[path]?.(String(body.model)) ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  env = { OLLAMA_HOST: `127.0.0.1:${(server.address() as AddressInfo).port}`, HOME: folder }
})
afterAll(async () => {
  server.close()
  await rm(folder, { recursive: true })
})

async function cli(...args: string[]) {
  asked.length = 0
  return {
    ...(await runDrover(args, env)),
    asked: asked.filter(({ path }) => path !== '/' && path !== '/api/show'),
  }
}

/** The least PNG: its signature is what tells. */
const png = Buffer.from('89504e470d0a1a0a00', 'hex')

describe('what run sends', () => {
  it('has the images whose paths stand in the prompt', async () => {
    const path = join(folder, 'my image (1).png')
    await writeFile(path, png)
    const result = await cli('run', 'seer', `What is in ${path.replaceAll(/[ ()]/g, '\\$&')} here?`)
    expect(result).toMatchObject({ code: 0, stdout: 'A dot.\n\n', stderr: `Added image '${path}'\n` })
    expect(result.asked).toEqual([
      {
        path: '/api/generate',
        body: { model: 'seer', prompt: 'What is in  here?', images: [png.toString('base64')] },
      },
    ])
  })

  it('leaves a path where there is no file in the prompt, and refuses a file that is no image', async () => {
    const missing = await cli('run', 'seer', 'see /no/such/file.png now')
    expect(missing.asked[0]?.body).toEqual({ model: 'seer', prompt: 'see /no/such/file.png now' })
    const path = join(folder, 'text.jpg')
    await writeFile(path, 'no image')
    const refused = await cli('run', 'seer', path)
    expect(refused).toMatchObject({ code: 1, asked: [] })
    expect(refused.stderr).toContain(`Error: ${path}: invalid image type`)
  })

  it('has the options of flags, each in its field', async () => {
    const { asked: sent } = await cli(
      'run',
      'seer',
      '--format=json',
      '--keepalive',
      '5m',
      '--think=low',
      'Hi',
    )
    expect(sent[0]?.body).toEqual({
      model: 'seer',
      prompt: 'Hi',
      format: 'json',
      keep_alive: '5m',
      think: 'low',
    })
  })

  it('asks an embedding model for a vector and prints it', async () => {
    const result = await cli('run', 'embedder', '--dimensions', '2', '--truncate=false', 'some text')
    expect(result).toMatchObject({ code: 0, stdout: '[0.25,-0.5]\n' })
    expect(result.asked).toEqual([
      { path: '/api/embed', body: { model: 'embedder', input: 'some text', truncate: false, dimensions: 2 } },
    ])
    expect((await cli('run', 'embedder')).stderr).toBe(
      'Error: embedding models require input text. Usage: drover run embedder "your text here"\n',
    )
  })
})

it('through a link named ollama, --version warns when client and server differ', async () => {
  const link = join(folder, 'ollama')
  await symlink(fileURLToPath(new URL('../../bin/drover.js', import.meta.url)), link)
  const { stdout } = await promisify(execFile)(process.execPath, [link, '--version'], {
    env: { PATH: process.env.PATH, ...env },
  })
  expect(stdout).toMatch(/^ollama version is 0\.99\.0\nWarning: client version is \d+\.\d+\.\d+\n$/)
})
