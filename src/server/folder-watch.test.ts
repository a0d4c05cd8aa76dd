import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../core/index.ts'
import { watchFolders } from './folder-watch.ts'

function setUp() {
  const root = realpathSync(mkdtempSync(join(tmpdir(), 'drover-watch-')))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  const changed = vi.fn()
  const failed = vi.fn()
  const begin = (path: string) => onTestFinished(watchFolders([path], changed, failed, systemClock))
  const seen = async (times: number) => {
    await vi.waitFor(() => expect(changed.mock.calls.length).toBeGreaterThanOrEqual(times), 5000)
    return changed.mock.calls.length
  }
  return { root, changed, failed, begin, seen }
}

it('sees a file in a folder that is made later', async () => {
  const { root, begin, seen, failed } = setUp()
  const path = join(root, 'a', 'b', 'drover.yaml')
  begin(path)
  mkdirSync(join(root, 'a', 'b'), { recursive: true })
  const before = await seen(1)
  writeFileSync(path, 'hedge: true\n')
  await seen(before + 1)
  expect(failed).not.toHaveBeenCalled()
})

it('sees a change of the file that a link leads to, and of the link', async () => {
  const { root, begin, seen } = setUp()
  for (const folder of ['here', 'there', 'elsewhere']) mkdirSync(join(root, folder))
  const path = join(root, 'here', 'drover.yaml')
  writeFileSync(join(root, 'there', 'one'), 'hedge: true\n')
  writeFileSync(join(root, 'elsewhere', 'two'), 'hedge: true\n')
  symlinkSync(join(root, 'there', 'one'), path)
  begin(path)
  writeFileSync(join(root, 'there', 'one'), 'hedge: false\n')
  const first = await seen(1)
  rmSync(path)
  symlinkSync(join(root, 'elsewhere', 'two'), path)
  const second = await seen(first + 1)
  writeFileSync(join(root, 'elsewhere', 'two'), 'hedge: false\n')
  await seen(second + 1)
})

it('calls once for changes that come close together', async () => {
  const { root, begin, seen } = setUp()
  const path = join(root, 'drover.yaml')
  begin(path)
  for (let i = 0; i < 20; i++) writeFileSync(path, `maxQueue: ${i + 1}\n`)
  await seen(1)
  await systemClock.sleep(400)
  expect(await seen(1)).toBe(1)
})
