import { describe, expect, it } from 'vitest'
import type { FolderLook } from '../contract.ts'
import { codesOf, findingOf, machine } from '../testing.ts'

const gib = 2 ** 30
const store = (changes: Partial<FolderLook>): FolderLook => ({
  use: 'models',
  path: '/srv/models',
  at: '/srv/models',
  owner: 'ada',
  freeBytes: 500 * gib,
  totalBytes: 1000 * gib,
  ...changes,
})
const facts = (changes: Partial<FolderLook>) => machine({ folders: [store(changes)] })

describe('a store that cannot be written', () => {
  it("names its owner, and how to make it this user's", () => {
    const found = findingOf(facts({ refusal: 'EACCES', owner: 'ollama' }), 'models_not_writable')
    expect(found).toMatchObject({ level: 'error', command: 'sudo chown -R ada /srv/models' })
    expect(found.detail).toBe('/srv/models belongs to ollama, and this user (ada) may not read and write it.')
    expect(found.advice).toContain('OLLAMA_MODELS')
  })

  it('and does not exist yet names the folder in which it would be made', () => {
    const found = findingOf(facts({ refusal: 'EACCES', at: '/srv', owner: 'root' }), 'models_not_writable')
    expect(found.detail).toContain('/srv/models (which is to be made within /srv)')
  })

  it('is told to be on a disk that is read only, or no folder at all', () => {
    expect(findingOf(facts({ refusal: 'EROFS' }), 'models_not_writable').detail).toContain('read only')
    expect(findingOf(facts({ refusal: 'ENOTDIR' }), 'models_not_writable').detail).toContain('no folder')
  })
})

describe('a disk', () => {
  it('with little left is a warning, with next to nothing an error', () => {
    expect(findingOf(facts({ freeBytes: 5 * gib }), 'models_disk_full')).toMatchObject({
      level: 'warning',
      detail: '5 GiB of 1000 GiB are free; a model of usual size takes 5 GiB.',
      command: 'drover list\ndrover rm <model>',
    })
    expect(findingOf(facts({ freeBytes: 0.1 * gib }), 'models_disk_full').level).toBe('error')
  })

  it('for temporary files is judged by what those take', () => {
    const temporary = { use: 'temporary', path: '/tmp', at: '/tmp' } as const
    expect(codesOf(facts({ ...temporary, freeBytes: 2 * gib }))).toEqual([])
    expect(codesOf(facts({ ...temporary, freeBytes: 0.1 * gib }))).toEqual(['temporary_disk_full'])
  })
})

it("models of Ollama's service are pointed at where the own store has none", () => {
  const found = findingOf(machine({ otherStores: ['/usr/share/ollama/.ollama/models'] }), 'models_elsewhere')
  expect(found).toMatchObject({
    level: 'note',
    command: 'OLLAMA_MODELS=/usr/share/ollama/.ollama/models drover serve',
  })
})
