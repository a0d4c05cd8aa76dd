import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { sharedData } from '../../../test/support/shared-data.ts'
import type { AnswerRecord } from '../../routing/index.ts'
import { readTrace } from './read.ts'

const folder = mkdtempSync(join(tmpdir(), 'drover-traces-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const file = (lines: readonly (string | object)[], suffix = '') => {
  const path = join(folder, `${files++}${suffix}`)
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
  writeFileSync(path, suffix === '.gz' ? gzipSync(text) : text)
  return path
}
const mooncake = (timestamp: number, input_length: number, output_length: number, hash_ids: number[]) => ({
  timestamp,
  input_length,
  output_length,
  hash_ids,
})

describe('traces', () => {
  it('of Mooncake have blocks of 512 tokens, whole ones only, and times known to 3 s', async () => {
    const trace = await readTrace(file([mooncake(3000, 1100, 3, [1, 2, 3]), mooncake(6000, 700, 3, [1, 9])]))
    expect(trace).toMatchObject({ format: 'mooncake', blockTokens: 512, bucketMs: 3000 })
    expect(trace.requests[0]).toEqual({
      atMs: 0,
      promptTokens: 1100,
      outputTokens: 3,
      hashes: [1, 2],
      tenant: 'default',
    })
    expect(trace.requests[1]?.atMs).toBe(3000)
  })

  it('tell the size of their blocks by how many they list', async () => {
    const trace = await readTrace(file([mooncake(0.5, 40, 3, [1, 2]), mooncake(9.25, 33, 3, [1, 4])], '.gz'))
    expect(trace).toMatchObject({ blockTokens: 16, bucketMs: 0 })
    await expect(
      readTrace(file([mooncake(0, 1100, 3, [1, 2, 3]), mooncake(0, 1100, 3, [1])])),
    ).rejects.toThrow(/line 2: 1 hash_ids do not agree with 1100 tokens in blocks of 512/)
  })

  it('of Qwen have their times in seconds', async () => {
    const turn = (chat_id: number, parent_chat_id: number, timestamp: number) => ({
      ...{ chat_id, parent_chat_id, type: 'text', turn: 1 },
      ...mooncake(timestamp, 40, 3, [1, 2, 3]),
    })
    const trace = await readTrace(file([turn(159, -1, 61.114), turn(160, 159, 63.5)]))
    expect(trace).toMatchObject({ format: 'mooncake', blockTokens: 16, bucketMs: 0 })
    expect(trace.requests[1]?.atMs).toBeCloseTo(2386)
  })

  it('know an answer by the turn that follows it, and give every other answer blocks of its own', async () => {
    const { requests } = await readTrace(
      file([
        mooncake(0, 1024, 600, [1, 2]),
        mooncake(3000, 2048, 600, [1, 2, 3, 4]),
        mooncake(6000, 1024, 600, [1, 7]),
      ]),
    )
    expect(requests[0]?.hashes).toEqual([1, 2, 3])
    const others = requests.slice(1).map(({ hashes }) => hashes.at(-1) ?? 0)
    expect(others.every((hash) => hash >= 2 ** 52)).toBe(true)
    expect(new Set(others).size).toBe(2)
  })

  it('of Azure are read with and without a fraction and a zone', async () => {
    const { requests } = await readTrace(
      file([
        'TIMESTAMP,ContextTokens,GeneratedTokens',
        '2023-11-16 18:17:03.9799600,4808,10',
        '2023-11-16 18:17:04.5799600+00:00,10,8',
        '2023-11-16 18:17:05+00:00,11,9',
      ]),
    )
    expect(requests.map(({ atMs }) => Math.round(atMs * 10) / 10)).toEqual([0, 600, 1020])
    expect(requests[0]).toMatchObject({ promptTokens: 4808, outputTokens: 10, hashes: [] })
  })

  it('of BurstGPT are read by the names of columns, without failures', async () => {
    const trace = await readTrace(
      file([
        'Timestamp,Session ID,Elapsed time,Model,Request tokens,Response tokens,Total tokens,Log Type',
        '5,1,2,ChatGPT,472,18,490,Conversation log',
        '6,1,2,ChatGPT,472,0,472,Conversation log',
        '45,1,2,GPT-4,10,20,30,API log',
      ]),
    )
    expect(trace.bucketMs).toBe(1000)
    expect(trace.requests.map(({ atMs, tenant, model }) => [atMs, tenant, model])).toEqual([
      [0, 'Conversation log', 'ChatGPT'],
      [40_000, 'API log', 'GPT-4'],
    ])
  })

  it('of Drover itself come from its request log, in any order', async () => {
    const line = (time: string, totalMs: number, blocks: number[], blockTokens: number) => {
      const record: AnswerRecord = {
        model: 'llama3:8b',
        tenant: '',
        promptTokens: 100,
        cachedTokens: 64,
        outputTokens: 20,
        ttftMs: 90,
        totalMs,
        instance: '#7 cuda:0',
        route: 'predicted_finish',
        blocks,
        blockTokens,
      }
      return { time, ...record }
    }
    const trace = await readTrace(
      file([
        line('2026-01-02T10:00:01.500Z', 1000, [1, 2, 3], 31.5),
        line('2026-01-02T10:00:01.750Z', 800, [1, 2, 4], 32.5),
        line('2026-01-02T10:00:02.000Z', 1750, [1, 2, 5], 32),
      ]),
    )
    expect(trace).toMatchObject({ format: 'drover', blockTokens: 32 })
    expect(trace.requests.map(({ atMs, hashes, tenant }) => [atMs, hashes.slice(0, 3), tenant])).toEqual([
      [0, [1, 2, 5], 'default'],
      [250, [1, 2, 3], 'default'],
      [700, [1, 2, 4], 'default'],
    ])
  })

  it('of ServeGen are drawn by the rates and lengths of each client, the same for the same seed', async () => {
    const path = file([
      {
        client: 3,
        window_s: 600,
        day2_windows: [
          [0, 1, 1, 'Gamma', 1, 1],
          [600, 5, 2, 'Weibull', 0.8, 1],
        ],
        lengths: { 0: { input_tokens: { q: Array(24).fill(100) }, output_tokens: { q: Array(24).fill(7) } } },
      },
    ])
    const trace = await readTrace(path, { seed: 4 })
    expect(trace.requests.length).toBeGreaterThan(2400)
    expect(trace.requests.length).toBeLessThan(3600)
    expect(trace.requests[0]).toMatchObject({ promptTokens: 100, outputTokens: 7, tenant: 'client 3' })
    expect(await readTrace(path, { seed: 4 })).toEqual(trace)
    expect(await readTrace(path, { seed: 5 })).not.toEqual(trace)
  })

  it('name the file and the line of what they cannot read', async () => {
    const broken = [
      [['{"timestamp": 0, "input_length": 5, "output_length": 5}', '{oops'], /line 2: it is not JSON: {oops/],
      [['{"timestamp": 0, "input_length": "5"}'], /line 1: "input_length": .*number/],
      [['TIMESTAMP,ContextTokens', '1,2'], /line 1: there is no column "GeneratedTokens"/],
      [['TIMESTAMP,ContextTokens,GeneratedTokens', 'soon,1,2'], /line 2: "soon" is no time/],
      [
        ['TIMESTAMP,ContextTokens,GeneratedTokens', '2023-11-16 18:17:03,-1,2'],
        /line 2: "ContextTokens" is "-1"/,
      ],
      [['hello'], /first line is of no format.*--format/],
      [['TIMESTAMP,ContextTokens,GeneratedTokens'], /there are no requests in it/],
    ] as const
    for (const [lines, message] of broken) {
      const path = file(lines)
      await expect(readTrace(path)).rejects.toThrow(message)
      await expect(readTrace(path)).rejects.toThrow(path)
    }
    await expect(readTrace(join(folder, 'none'))).rejects.toThrow('there is no such file')
    const gz = join(folder, 'broken.gz')
    writeFileSync(gz, 'no gzip at all')
    await expect(readTrace(gz)).rejects.toThrow(/header/)
  })

  it('stop after as many requests as are wanted', async () => {
    const { requests } = await readTrace(
      file([mooncake(0, 10, 1, []), mooncake(1, 10, 1, []), mooncake(2, 10, 1, [])]),
      { requests: 2 },
    )
    expect(requests).toHaveLength(2)
  })

  it('that were recorded are read whole', async () => {
    const counts: [string, number][] = [
      ['traces/mooncake/conversation_trace.jsonl', 12_031],
      ['traces/azure/AzureLLMInferenceTrace_code.csv', 8819],
      ['traces/azure/AzureLLMInferenceTrace_conv.csv', 19_366],
      ['traces/azure/AzureLLMInferenceTrace_2024_first_last_rows.csv', 20],
      ['traces/sharegpt/sharegpt-llama-3.1-8b-300-sps10.block16.jsonl', 300],
      ['traces/servegen/m-large.clients.jsonl.gz', 20_000],
    ]
    for (const [name, count] of counts) {
      const path = sharedData(name)
      if (path) expect((await readTrace(path)).requests, name).toHaveLength(count)
    }
  })
})
