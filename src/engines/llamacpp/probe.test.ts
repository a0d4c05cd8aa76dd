import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ensureLlamaServer, testEnginesDir } from '../../../test/support/llama-server.ts'
import { findServer, parseDevices, parseHelp, parseVersion } from './probe.ts'

const gib = 1024 ** 3

describe("llama-server's answers about itself", () => {
  it('give a version, numbered the new way and the old', () => {
    expect(parseVersion('version: 0.7.0 (build 11669, commit Debian)\nbuilt with GNU')).toBe('0.7.0')
    expect(parseVersion('ggml_cuda_init: found 1\nversion: 6123 (79c1160b)')).toBe('6123')
    expect(parseVersion('hello')).toBeUndefined()
  })

  it('give devices, RPC workers in both spellings, and none', () => {
    const text = `Available devices:
  CUDA0: NVIDIA GeForce RTX 3090 (24576 MiB, 23000 MiB free)
  Vulkan1: llvmpipe (LLVM 22.1.8, 256 bits) (1024 MiB, 512 MiB free)
  RPC0: 10.0.0.2:50052 (2048 MiB, 2048 MiB free)
  RPC[10.0.0.3:50052]: RPC[10.0.0.3:50052] (2048 MiB, 1024 MiB free)
`
    expect(parseDevices(text)).toEqual([
      {
        name: 'CUDA0',
        description: 'NVIDIA GeForce RTX 3090',
        totalBytes: 24 * gib,
        freeBytes: 23000 * 1024 ** 2,
      },
      {
        name: 'Vulkan1',
        description: 'llvmpipe (LLVM 22.1.8, 256 bits)',
        totalBytes: gib,
        freeBytes: gib / 2,
      },
      { name: 'RPC0', description: '10.0.0.2:50052', totalBytes: 2 * gib, freeBytes: 2 * gib },
      {
        name: 'RPC[10.0.0.3:50052]',
        description: 'RPC[10.0.0.3:50052]',
        totalBytes: 2 * gib,
        freeBytes: gib,
      },
    ])
    expect(parseDevices('Available devices:\n  (none)')).toEqual([])
  })

  it('give the flags of each entry, and none from its explanation', () => {
    const help = parseHelp(`----- common params -----

-h,    --help, --usage                  print usage; see --not-a-flag
-fa,   --flash-attn [on|off|auto]       set Flash Attention use
--perf, --no-perf                       timings
-kvo,  --kv-offload, -nkvo, --no-kv-offload
                                        --neither-a-flag
-ngl,  --gpu-layers, --n-gpu-layers N   an exact number, 'auto', or 'all'
--host HOST                             address, or UNIX socket paths
--api-key KEY                           key
                                        (env: LLAMA_API_KEY)
`)
    expect([...help.flags]).toEqual([
      '-h',
      '--help',
      '--usage',
      '-fa',
      '--flash-attn',
      '--perf',
      '--no-perf',
      '-kvo',
      '--kv-offload',
      '-nkvo',
      '--no-kv-offload',
      '-ngl',
      '--gpu-layers',
      '--n-gpu-layers',
      '--host',
      '--api-key',
    ])
    expect(help).toMatchObject({
      flashAttentionTakesValue: true,
      gpuLayersTakesAuto: true,
      unixSockets: true,
      apiKeyFromEnvironment: true,
      adaptersByComma: false,
    })
    expect(parseHelp('-fa, --flash-attn   enable Flash Attention').flashAttentionTakesValue).toBe(false)
  })
})

describe('looking for llama-server', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'drover-probe-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('finds the installed one and learns what it can do', async () => {
    const serverPath = await ensureLlamaServer()
    const facts = await findServer({ enginesDir: testEnginesDir, serverPath })
    expect(facts).toMatchObject({ path: serverPath, unixSockets: true, flashAttentionTakesValue: true })
    expect('flags' in facts && facts.flags.has('--slots') && facts.flags.has('--context-shift')).toBe(true)
    expect('flags' in facts && facts.flags.has('--help')).toBe(true)
  })

  it('does not look elsewhere when the configured path is wrong, and says what to do', async () => {
    expect(await findServer({ enginesDir: testEnginesDir, serverPath: '/nowhere/llama-server' })).toEqual({
      reason: expect.stringMatching(/^\/nowhere\/llama-server: .*ENOENT.*Correct the configured path/),
    })
  })

  it('turns down a program that is something else, or fails', async () => {
    const impostor = join(folder, 'llama-server')
    await writeFile(impostor, '#!/bin/sh\necho hello\n')
    await chmod(impostor, 0o755)
    expect(await findServer({ enginesDir: folder, serverPath: impostor })).toEqual({
      reason: expect.stringContaining('--version names no version of llama.cpp'),
    })
    await writeFile(impostor, '#!/bin/sh\necho libfoo.so: cannot open shared object file >&2\nexit 127\n')
    expect(await findServer({ enginesDir: folder, serverPath: impostor })).toEqual({
      reason: expect.stringContaining('libfoo.so: cannot open shared object file'),
    })
  })
})
