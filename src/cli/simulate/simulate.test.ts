import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest'
import { createProgram } from '../program.ts'
import { chosenRouters } from './options.ts'

const folder = mkdtempSync(join(tmpdir(), 'drover-simulate-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
afterEach(() => vi.restoreAllMocks())

const trace = join(folder, 'trace.jsonl')
writeFileSync(
  trace,
  Array.from({ length: 40 }, (_, at) =>
    JSON.stringify({
      timestamp: at * 500,
      input_length: 1100,
      output_length: 30,
      hash_ids: [at % 4, 10 + (at % 4), 100 + at],
    }),
  ).join('\n'),
)
const cluster = join(folder, 'cluster.yaml')
writeFileSync(
  cluster,
  'groups:\n  - { count: 2, device: L40S, model: { params: 8e9, kvBytesPerToken: 131072 } }\n',
)

async function simulate(...flags: string[]): Promise<string> {
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed += text
    return true
  })
  await createProgram('drover').parseAsync(['node', 'drover', 'simulate', ...flags])
  return printed
}

describe('drover simulate', () => {
  it('prints a table that says it is simulated, and draws', async () => {
    const svg = join(folder, 'plot.svg')
    const printed = await simulate(
      ...[
        '--trace',
        trace,
        '--cluster',
        cluster,
        '--load',
        '50%,0.8',
        '--policy',
        'predicted-finish,round_robin',
      ],
      ...['--svg', svg],
    )
    expect(printed).toMatch(/^SIMULATED/)
    expect(printed).toContain('trace.jsonl (mooncake, 40 requests) on 2 x L40S')
    expect(printed.match(/^round_robin/gm)).toHaveLength(2)
    expect(readFileSync(svg, 'utf8')).toContain('load 80 %')
  })

  it('prints JSON that says it too, with every figure of every seed', async () => {
    const printed = await simulate(
      '--trace',
      trace,
      '--cluster',
      cluster,
      '--seeds',
      '2',
      '--json',
      '--requests',
      '10',
    )
    const { simulated, rows } = JSON.parse(printed)
    expect(simulated).toBe(true)
    expect(rows[0]).toMatchObject({ router: 'predicted_finish', summary: { requests: 10, refused: 0 } })
    expect(rows[0].bySeed).toHaveLength(2)
  })

  it('names what is wrong with files and policies', async () => {
    await expect(simulate('--trace', join(folder, 'none'), '--cluster', cluster)).rejects.toThrow(
      'no such file',
    )
    await expect(simulate('--trace', cluster, '--cluster', cluster)).rejects.toThrow(/--format/)
    await expect(simulate('--trace', trace, '--cluster', trace)).rejects.toThrow(trace)
    await expect(simulate('--trace', trace, '--cluster', cluster, '--policy', 'best')).rejects.toThrow(
      /no policy "best"; there are predicted_finish/,
    )
  })

  it('knows all policies at once, each once', () => {
    const all = chosenRouters(['all', 'omniscient', 'prefix'])
    expect(new Set(all).size).toBe(all.length)
    expect(all).toContain('omniscient')
    expect(chosenRouters(['all'])).not.toContain('omniscient')
  })
})
