import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ensureLlamaServer, testEnginesDir } from '../../../test/support/llama-server.ts'
import { pickAsset } from './github.ts'
import { type EngineSource, githubSource, installLlamaCpp, listInstalled, removeEngine } from './index.ts'
import { writeWrapper } from './source.ts'

const runFile = promisify(execFile)
let folder = ''
let enginesDir = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-install-'))
  enginesDir = join(folder, 'engines')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** A source whose "server" is a script that prints a version. */
function scripted(version: string, onObtain: () => Promise<void> = async () => undefined): EngineSource {
  return {
    name: `scripted ${version}`,
    obtain: async (target) => {
      await onObtain()
      await writeWrapper(target, 'llama-server', `echo "version: ${version} (build 1)"`)
    },
  }
}

const failing = (message: string): EngineSource => ({
  name: message,
  obtain: async (target) => {
    await mkdir(join(target, 'bin'))
    await writeFile(join(target, 'bin/llama-server'), 'half')
    throw new Error(`${message} did not work`)
  },
})

describe('installing llama.cpp', () => {
  it('takes the first source that works, and lists and removes what it installed', async () => {
    const sources = [failing('first'), scripted('1.2.3')]
    const installed = await installLlamaCpp({ enginesDir, sources })
    expect(installed).toEqual({
      name: 'llama.cpp',
      path: join(enginesDir, 'llama.cpp/bin/llama-server'),
      version: '1.2.3',
      source: 'scripted 1.2.3',
    })
    expect(await listInstalled(enginesDir)).toEqual([installed])
    expect((await runFile(installed.path)).stdout).toContain('version: 1.2.3')
    expect(await removeEngine(enginesDir, 'llama.cpp')).toBe(true)
    expect(await removeEngine(enginesDir, 'llama.cpp')).toBe(false)
    expect(await listInstalled(enginesDir)).toEqual([])
  })

  it('names every source and its reason when none works, and leaves nothing behind', async () => {
    const broken: EngineSource = {
      name: 'unusable archive',
      obtain: async (target) => writeWrapper(target, 'llama-server', 'echo no such thing'),
    }
    const attempt = installLlamaCpp({ enginesDir, sources: [failing('first'), broken] })
    await expect(attempt).rejects.toMatchObject({
      code: 'engine_unavailable',
      message: expect.stringMatching(
        /first: first did not work.*unusable archive: .*printed no version but: no such thing/s,
      ),
    })
    expect(await readdir(enginesDir)).toEqual([])
  })

  it('is done once when several ask at the same time', async () => {
    let obtained = 0
    const source = scripted('1', async () => {
      obtained++
    })
    const results = await Promise.all([1, 2, 3].map(() => installLlamaCpp({ enginesDir, sources: [source] })))
    expect(obtained).toBe(1)
    expect(new Set(results.map(({ version }) => version))).toEqual(new Set(['1']))
  })

  it('takes over the lock and clears the remnants of an installer that died', async () => {
    const dead = await runFile(process.execPath, ['-p', 'process.pid'])
    await mkdir(join(enginesDir, '.llama.cpp-abandoned'), { recursive: true })
    await writeFile(join(enginesDir, '.llama.cpp.lock'), dead.stdout)
    await installLlamaCpp({ enginesDir, sources: [scripted('1')] })
    expect(await readdir(enginesDir)).toEqual(['llama.cpp'])
  })

  it('replaces what is there only when asked to, and only by something that works', async () => {
    await installLlamaCpp({ enginesDir, sources: [scripted('1')] })
    expect((await installLlamaCpp({ enginesDir, sources: [scripted('2')] })).version).toBe('1')
    await expect(
      installLlamaCpp({ enginesDir, reinstall: true, sources: [failing('new one')] }),
    ).rejects.toThrow('new one did not work')
    expect((await listInstalled(enginesDir))[0]?.version).toBe('1')
    expect((await installLlamaCpp({ enginesDir, reinstall: true, sources: [scripted('2')] })).version).toBe(
      '2',
    )
    expect((await listInstalled(enginesDir))[0]?.version).toBe('2')
  })

  it('ends with the signal that aborts it', async () => {
    const control = new AbortController()
    const source = scripted('1', async () => control.abort(new Error('enough')))
    await expect(installLlamaCpp({ enginesDir, sources: [source], signal: control.signal })).rejects.toThrow(
      'enough',
    )
    expect(await readdir(enginesDir)).toEqual([])
  })

  it('does not count a folder without a record, and refuses a name that leads elsewhere', async () => {
    await mkdir(join(enginesDir, 'half/bin'), { recursive: true })
    await writeFile(join(enginesDir, 'half/bin/llama-server'), '')
    expect(await listInstalled(enginesDir)).toEqual([])
    await expect(removeEngine(enginesDir, '../engines')).rejects.toMatchObject({ code: 'invalid_request' })
  })
})

describe('release archives', () => {
  let server: Server
  let apiUrl = ''
  let asset = { name: '', digest: '' as string | null, size: 0 }
  let archive = Buffer.alloc(0)

  beforeEach(async () => {
    const build = join(folder, 'build/llama-b9')
    await mkdir(build, { recursive: true })
    await writeFile(join(build, 'llama-server'), '#!/bin/sh\necho "version: 9 (abc)"\n')
    await chmod(join(build, 'llama-server'), 0o755)
    await runFile('tar', ['-czf', join(folder, 'a.tar.gz'), '-C', join(folder, 'build'), 'llama-b9'])
    archive = await readFile(join(folder, 'a.tar.gz'))
    const system = process.platform === 'darwin' ? 'macos' : 'ubuntu'
    asset = {
      name: `llama-b9-bin-${system}-${process.arch}.tar.gz`,
      digest: `sha256:${createHash('sha256').update(archive).digest('hex')}`,
      size: archive.length,
    }
    server = createServer((request, response) => {
      if (request.url === '/repos/ggml-org/llama.cpp/releases/latest') {
        const url = `${apiUrl}/download`
        response.end(JSON.stringify({ tag_name: 'b9', assets: [{ ...asset, browser_download_url: url }] }))
      } else if (request.url === '/download') {
        response.writeHead(302, { location: '/elsewhere' }).end()
      } else if (request.url === '/elsewhere') {
        response.end(archive)
      } else {
        response.writeHead(404).end()
      }
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterEach(() => new Promise((resolve) => server.close(resolve)))

  it('are downloaded, checked against their digest and unpacked', async () => {
    const phases: string[] = []
    const installed = await installLlamaCpp({
      enginesDir,
      sources: [githubSource({ apiUrl })],
      onProgress: ({ phase }) => phases.push(phase),
    })
    expect(installed).toMatchObject({ version: '9', source: 'GitHub release archives' })
    expect([...new Set(phases)]).toEqual(['index', 'download', 'unpack', 'check'])
    expect((await runFile(installed.path, ['--version'])).stdout).toContain('version: 9')
  })

  it('are refused when damaged, when without a digest, and when none is for this platform', async () => {
    const install = () => installLlamaCpp({ enginesDir, sources: [githubSource({ apiUrl })] })
    const { digest, name } = asset
    archive = Buffer.concat([archive, Buffer.from('x')])
    await expect(install()).rejects.toThrow(/is damaged: its SHA-256 is/)
    asset.digest = null
    await expect(install()).rejects.toThrow('has no SHA-256 digest')
    asset = { ...asset, digest, name: 'llama-b9-bin-amiga.tar.gz' }
    await expect(install()).rejects.toThrow(/has no archive for .*it has llama-b9-bin-amiga/)
    expect(name).not.toBe(asset.name)
    expect(await readdir(enginesDir)).toEqual([])
  })

  it('are said to be out of reach when nobody answers', async () => {
    const source = githubSource({ apiUrl: 'http://127.0.0.1:1' })
    await expect(installLlamaCpp({ enginesDir, sources: [source] })).rejects.toThrow(
      /GitHub release archives: .*ECONNREFUSED/,
    )
  })

  it('are picked by system, processor and GPU', () => {
    const named = (name: string) => ({ name, size: 1, browser_download_url: '' })
    const assets = [
      named('llama-b9-bin-ubuntu-vulkan-x64.tar.gz'),
      named('llama-b9-bin-ubuntu-x64.tar.gz'),
      named('llama-b9-bin-macos-arm64.tar.gz'),
    ]
    expect(pickAsset(assets, 'linux', 'x64', true)?.name).toBe('llama-b9-bin-ubuntu-vulkan-x64.tar.gz')
    expect(pickAsset(assets, 'linux', 'x64', false)?.name).toBe('llama-b9-bin-ubuntu-x64.tar.gz')
    expect(pickAsset(assets, 'darwin', 'arm64', false)?.name).toBe('llama-b9-bin-macos-arm64.tar.gz')
    expect(pickAsset(assets, 'linux', 'arm64', true)).toBeUndefined()
    expect(pickAsset(assets, 'win32', 'x64', true)).toBeUndefined()
  })
})

describe('the real llama-server', () => {
  it('is installed without touching the system, and its tools run by path, by link and from another place', async () => {
    const server = await ensureLlamaServer()
    const [installed] = await listInstalled(testEnginesDir)
    expect(installed).toMatchObject({ name: 'llama.cpp', path: server })
    const { stdout, stderr } = await runFile(server, ['--version'])
    expect(stdout + stderr).toContain(installed?.version)

    const link = join(folder, 'linked-server')
    await symlink(server, link)
    await expect(runFile(link, ['--version'])).resolves.toBeDefined()

    const copy = join(folder, 'copy')
    await runFile('cp', ['-R', join(testEnginesDir, 'llama.cpp'), copy])
    await rename(copy, join(folder, 'moved'))
    await expect(runFile(join(folder, 'moved/bin/llama-server'), ['--version'])).resolves.toBeDefined()
    expect(await readdir(join(testEnginesDir, 'llama.cpp/bin'))).toContain('llama-quantize')
  })
})
