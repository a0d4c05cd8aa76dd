import { chmod, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hostSystem } from '../../../hardware/index.ts'
import { config, recordedSystem } from '../testing.ts'
import { lookAtFolder, storesElsewhere } from './storage.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-doctor-'))
})
afterAll(() => rm(folder, { recursive: true }))

describe('a look at a folder', () => {
  it('that is there tells its space and its owner', () => {
    const look = lookAtFolder(hostSystem, 'models', folder)
    expect(look).toMatchObject({ path: folder, at: folder })
    expect(look.refusal).toBeUndefined()
    expect(look.freeBytes).toBeGreaterThan(0)
    expect(look.totalBytes).toBeGreaterThanOrEqual(look.freeBytes ?? Number.POSITIVE_INFINITY)
    expect(look.owner).not.toBe('')
  })

  it('that is to be made looks at the nearest above it', () => {
    expect(lookAtFolder(hostSystem, 'models', join(folder, 'a/b/c'))).toMatchObject({ at: folder })
  })

  it('that is a file says so', async () => {
    await writeFile(join(folder, 'file'), '')
    await chmod(join(folder, 'file'), 0o777)
    expect(lookAtFolder(hostSystem, 'models', join(folder, 'file'))).toMatchObject({ refusal: 'ENOTDIR' })
    expect(lookAtFolder(hostSystem, 'models', join(folder, 'file/models')).refusal).toBe('ENOTDIR')
  })

  it('that cannot be reached says why', async () => {
    const loop = join(folder, 'loop')
    await symlink(loop, loop)
    const look = lookAtFolder(hostSystem, 'models', join(loop, 'models'))
    expect(look).toMatchObject({ refusal: 'ELOOP', owner: 'another user' })
    expect(look.freeBytes).toBeUndefined()
  })
})

describe('other stores', () => {
  const service = '/usr/share/ollama/.ollama/models/manifests/registry.ollama.ai/library/m/latest'

  it("are told where the service's has models and the own has none", () => {
    const system = recordedSystem({ [service]: '{}' })
    expect(storesElsewhere(system, config())).toEqual(['/usr/share/ollama/.ollama/models'])
  })

  it('are of no interest where the own has models', () => {
    const own = '/home/ada/.ollama/models/manifests/registry.ollama.ai/library/m/latest'
    expect(storesElsewhere(recordedSystem({ [service]: '{}', [own]: '{}' }), config())).toEqual([])
  })
})
