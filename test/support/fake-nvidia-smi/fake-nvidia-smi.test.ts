import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createFakeHost, type FakeHost } from './host.ts'
import { eightCards, story } from './index.ts'

const program = 'nvidia-smi'

let folder: string
let host: FakeHost

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'fake-host-'))
  host = createFakeHost(folder)
})

afterEach(() => rmSync(folder, { recursive: true, force: true }))

/** What the program prints and how it ends, started by its name as a product does. */
function ask(...args: string[]): Promise<{ code: number | string; lines: string[] }> {
  const env = { ...process.env, PATH: `${host.bin}:${process.env['PATH']}` }
  return new Promise((resolve) => {
    execFile(program, args, { env, timeout: 1000, killSignal: 'SIGKILL' }, (error, stdout) =>
      resolve({ code: error?.code ?? (error?.killed ? 'killed' : 0), lines: stdout.trimEnd().split('\n') }),
    )
  })
}

it('it answers the fields that are asked, in their order', async () => {
  const { code, lines } = await ask(
    '--query-gpu=index,temperature.gpu,memory.total',
    '--format=csv,noheader,nounits',
  )
  expect(code).toBe(0)
  expect(lines).toEqual(eightCards().map(({ index, temperatureC }) => `${index}, ${temperatureC}, 49140`))
})

it('it writes headers and units unless told not to', async () => {
  const { lines } = await ask('--query-gpu=name,power.draw,mig.mode.current', '--format=csv')
  expect(lines.slice(0, 2)).toEqual([
    'name, power.draw [W], mig.mode.current',
    'NVIDIA RTX A6000, 231.50 W, [N/A]',
  ])
})

it('it refuses a field that it does not know, and words that it does not know', async () => {
  expect(await ask('--query-gpu=index,colour', '--format=csv')).toMatchObject({
    code: 2,
    lines: ['Field "colour" is not a valid field to query.'],
  })
  expect((await ask('--paint')).code).toBe(1)
})

it('it lists cards, links, the matrix and the processes', async () => {
  expect((await ask('-L')).lines).toHaveLength(8)
  expect((await ask('nvlink', '-s')).lines).toHaveLength(8 * 5)
  expect((await ask('topo', '-m')).lines[1]).toBe(
    'GPU0\t X \tNV4\tNODE\tNODE\tSYS\tSYS\tSYS\tSYS\t0-31,64-95\t0\t\tN/A',
  )
  const apps = await ask('--query-compute-apps=gpu_uuid,pid,used_memory', '--format=csv,noheader')
  expect(apps.lines[7]).toBe('GPU-5eed0007-d40e-4a60-8b1d-0000a60000e1, 40007, 20990 MiB')
  expect((await ask('-q', '-x')).lines.filter((line) => line.includes('<gpu id='))).toHaveLength(8)
})

it('it tells the story of a card that heats, throttles, vanishes and comes back', async () => {
  const sick = async () =>
    (await ask('--query-gpu=temperature.gpu,clocks_event_reasons.active,pci.bus_id', '--format=csv,noheader'))
      .lines[3]
  host.at(story.heats + 20)
  expect(await sick()).toBe('81, 0x0000000000000000, 00000000:4B:00.0')
  host.at(story.throttles)
  expect(await sick()).toBe('95, 0x0000000000000068, 00000000:4B:00.0')
  expect(readFileSync(host.kernelLog, 'utf8')).toBe('')
  host.at(story.vanishes)
  expect(await sick()).toBe('Unable to determine the device handle for GPU0000:4B:00.0: Unknown Error')
  expect((await ask('-L')).code).toBe(255)
  expect(readFileSync(host.kernelLog, 'utf8')).toContain('NVRM: Xid (PCI:0000:4b:00): 79, ')
  host.at(story.returns)
  expect(await sick()).toBe('41, 0x0000000000000001, 00000000:4B:00.0')
  expect(readFileSync(host.kernelLog, 'utf8').match(/Xid/g)).toHaveLength(1)
})

it('it hangs and answers again', async () => {
  host.hang(true)
  expect((await ask('-L')).code).toBe('killed')
  host.hang(false)
  expect((await ask('-L')).code).toBe(0)
})
