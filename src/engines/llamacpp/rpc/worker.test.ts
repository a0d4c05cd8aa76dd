import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { isAlive } from '../../../../test/support/drover.ts'
import { ensureLlamaServer, testEnginesDir } from '../../../../test/support/llama-server.ts'
import { askProtocol } from './hello.ts'
import { findRpcProgram, flagsOf } from './program.ts'
import { startRpcWorker, workerLine } from './worker.ts'

const program = await findRpcProgram({ serverPath: await ensureLlamaServer(), enginesDir: testEnginesDir })
const folder = await mkdtemp(join(tmpdir(), 'drover-rpc-'))
afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a worker', () => {
  it('speaks the protocol on a port of its own, tells its devices, and is gone after its end', async () => {
    const worker = await startRpcWorker(program, { threads: 1, cacheDir: join(folder, 'cache') })
    expect(worker.protocol).toMatch(/^\d+\.\d+\.\d+$/)
    expect(await askProtocol(worker.port, 1000)).toBe(worker.protocol)
    expect(worker.devices.length).toBeGreaterThan(0)
    expect(worker.devices[0]?.totalBytes).toBeGreaterThan(2 ** 20)
    expect(await worker.heldBytes()).toBeGreaterThan(0)
    await worker.close()
    expect(isAlive(worker.pid)).toBe(false)
    expect(await worker.exited).toMatch(/signal SIGTERM|exit code/)
    expect(await worker.heldBytes()).toBe(0)
  })

  it('that cannot start says why', async () => {
    await expect(startRpcWorker(program, { devices: ['CUDA77'] })).rejects.toMatchObject({
      code: 'engine_failed',
      message: expect.stringContaining('CUDA77'),
    })
  })

  it('is named with what is missing where there is none', async () => {
    await expect(findRpcProgram({ serverPath: '/bin/true', enginesDir: folder })).rejects.toMatchObject({
      code: 'engine_unavailable',
    })
  })
})

describe('the command of a worker', () => {
  const newest = { path: '/w', version: '1', flags: new Set(['-t', '-c', '-d']) }

  it('binds the loopback, and keeps weights where there is a folder and the build can', () => {
    expect(workerLine(newest, 4, { threads: 2, cacheDir: '/c', devices: ['CUDA0', 'CUDA1'] })).toEqual({
      file: '/w',
      args: ['-H', '127.0.0.1', '-p', '4', '-t', '2', '-d', 'CUDA0,CUDA1', '-c'],
    })
    expect(workerLine({ ...newest, flags: new Set() }, 4, { threads: 2, cacheDir: '/c' }).args).toEqual([
      '-H',
      '127.0.0.1',
      '-p',
      '4',
    ])
  })

  it('is told the memory where the build takes it, a part for each device; else the system holds it to it', () => {
    const older = { ...newest, flags: new Set(['-m']) }
    const limit = { memoryBytes: 2 ** 30 }
    expect(workerLine(older, 4, limit).args.slice(-2)).toEqual(['-m', '1024'])
    expect(workerLine(older, 4, { ...limit, devices: ['A', 'B'] }).args.slice(-2)).toEqual(['-m', '512,512'])
    const { file, args } = workerLine(newest, 4, { ...limit, threads: 1 })
    expect([file, ...args].join(' ')).toBe(
      '/bin/sh -c ulimit -d 1048576 && exec "$0" "$@" /w -H 127.0.0.1 -p 4 -t 1',
    )
  })

  it('knows the flags of old and new builds by their help', () => {
    expect([...flagsOf('options:\n  -h, --help  x\n  -m MEM, --mem MEM  y\n  -c, --cache z\n')]).toEqual([
      '-h',
      '-m',
      '-c',
    ])
  })
})
