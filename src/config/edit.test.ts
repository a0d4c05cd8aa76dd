import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { defaultFile } from './default-file.ts'
import { editedFile, replaceFile } from './edit.ts'

const text = `# mine
keepAlive: 5m   # long enough

multiGpu:   # the cards
  strategy: tensor
  tensor_parallel: {size: 2, communication: nccl}
`

describe('a file with settings changed', () => {
  it('keeps comments, order, and the names that it has', () => {
    const edited = editedFile(text, [
      { key: 'keepAlive', value: '1h' },
      { key: 'multi_gpu.strategy', value: 'pipeline' },
      { key: 'multi_gpu.tensor_parallel.size', value: 4 },
      { key: 'multi_gpu.memory.pooling', value: false },
      { key: 'policy', value: 'locality' },
    ])
    expect(edited).toMatch(
      /^# mine\nkeepAlive: 1h # long enough\n\nmultiGpu:\n {2}# the cards\n {2}strategy: pipeline\n/,
    )
    expect(parse(edited)).toEqual({
      keepAlive: '1h',
      multiGpu: {
        strategy: 'pipeline',
        tensor_parallel: { size: 4, communication: 'nccl' },
        memory: { pooling: false },
      },
      policy: 'locality',
    })
  })

  it('is made where there is none, and settings can be taken out', () => {
    expect(editedFile('', [{ key: 'multi_gpu.strategy', value: 'data' }])).toBe(
      'multi_gpu:\n  strategy: data\n',
    )
    expect(parse(editedFile('# only words\n', [{ key: 'hedge', value: true }]))).toEqual({ hedge: true })
    const less = editedFile(text, [{ key: 'keep_alive' }, { key: 'nothing.of.it' }])
    expect(parse(less)).toEqual({
      multiGpu: { strategy: 'tensor', tensor_parallel: { size: 2, communication: 'nccl' } },
    })
    expect(editedFile('# why\nhedge: true\n', [{ key: 'hedge' }])).toBe('# why\n')
    expect(editedFile('# why\nhedge: true\nprune: true\n', [{ key: 'hedge' }])).toBe('# why\nprune: true\n')
    expect(
      parse(
        editedFile('multi_gpu: {memory: {pooling: true}}\nhedge: true\n', [
          { key: 'multi_gpu.memory.pooling' },
        ]),
      ),
    ).toEqual({ hedge: true })
  })

  it('holds whatever is put into it, and nothing else changes', () => {
    const scalar = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.array(fc.string(), { maxLength: 3 }))
    fc.assert(
      fc.property(scalar, scalar, (first, second) => {
        const edited = editedFile(text, [
          { key: 'keepAlive', value: first },
          { key: 'multi_gpu.scheduling.metrics', value: second },
        ])
        expect(parse(edited)).toEqual({
          keepAlive: first,
          multiGpu: {
            strategy: 'tensor',
            tensor_parallel: { size: 2, communication: 'nccl' },
            scheduling: { metrics: second },
          },
        })
      }),
    )
  })

  it('keeps the explanations of a file that sets nothing', () => {
    const edited = editedFile(defaultFile(), [{ key: 'multi_gpu.strategy', value: 'data' }])
    expect(edited).toContain(defaultFile().trimEnd())
    expect(parse(edited)).toEqual({ multi_gpu: { strategy: 'data' } })
  })

  it('is refused where the text is no YAML', () => {
    expect(() => editedFile('a: [1', [{ key: 'hedge', value: true }])).toThrow(/line 1/)
  })
})

describe('replacing a file', () => {
  const folders: string[] = []
  const folder = () => {
    const made = mkdtempSync(join(tmpdir(), 'drover-edit-'))
    folders.push(made)
    return made
  }
  afterEach(() => {
    for (const one of folders.splice(0)) rmSync(one, { recursive: true, force: true })
  })

  it('makes its folder, keeps its rights, follows links, and leaves nothing beside it', () => {
    const root = folder()
    const path = join(root, 'new', 'drover.yaml')
    replaceFile(path, 'a: 1\n')
    expect(readFileSync(path, 'utf8')).toBe('a: 1\n')
    writeFileSync(join(root, 'real.yaml'), 'a: 1\n', { mode: 0o600 })
    symlinkSync(join(root, 'real.yaml'), join(root, 'link.yaml'))
    replaceFile(join(root, 'link.yaml'), 'a: 2\n')
    expect(readFileSync(join(root, 'real.yaml'), 'utf8')).toBe('a: 2\n')
    expect(statSync(join(root, 'real.yaml')).mode & 0o777).toBe(0o600)
    expect(readdirSync(root).toSorted()).toEqual(['link.yaml', 'new', 'real.yaml'])
  })

  it('leaves nothing behind where it fails', () => {
    const root = folder()
    expect(() => replaceFile(root, 'a: 1\n')).toThrow()
    expect(readdirSync(root)).toEqual([])
  })
})
