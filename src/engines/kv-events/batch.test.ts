import { encode } from '@msgpack/msgpack'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { decodeBatch } from './batch.ts'

const packed = (value: unknown) => encode(value, { useBigInt64: true })
const batchOf = (...events: unknown[]) => decodeBatch(packed([1.5, events, 0]))

describe('a batch of events', () => {
  it('is read as older vLLM and SGLang write it, whatever fields their releases lack or append', () => {
    expect(
      batchOf(
        ['BlockStored', [15760518052499183552n, 7], 12n, [1, 2, 3, 4], 2],
        ['BlockStored', [5], null, [1, 2], 2, null, 'GPU', null, [null], 1, 'full_attention', null, 'new'],
        ['BlockRemoved', [7]],
        ['BlockRemoved', [7], 'GPU', 1, 'new'],
        ['AllBlocksCleared'],
      ),
    ).toEqual([
      {
        type: 'stored',
        ids: ['0/15760518052499183552', '0/7'],
        parent: '0/12',
        tokens: [1, 2, 3, 4],
        blockTokens: 2,
      },
      { type: 'stored', ids: ['1/5'], tokens: [1, 2], blockTokens: 2 },
      { type: 'removed', ids: ['0/7'] },
      { type: 'removed', ids: ['1/7'] },
      { type: 'cleared' },
    ])
  })

  it('is read as newer vLLM writes it, by names', () => {
    const events = [
      {
        type: 'BlockStored',
        block_hashes: [Uint8Array.of(1, 2, 255)],
        parent_block_hash: Uint8Array.of(9),
        token_ids: [151644, 872],
        block_size: 2,
        lora_id: null,
        medium: 'GPU',
        lora_name: null,
        group_idx: 0,
        kv_cache_spec_kind: 'full_attention',
      },
      { type: 'BlockRemoved', block_hashes: [-3n], medium: 'GPU', group_idx: 2 },
      { type: 'AllBlocksCleared' },
    ]
    const read = [
      { type: 'stored', ids: ['0/AQL/'], parent: '0/CQ==', tokens: [151644, 872], blockTokens: 2 },
      { type: 'removed', ids: ['2/-3'] },
      { type: 'cleared' },
    ]
    expect(batchOf(...events)).toEqual(read)
    expect(decodeBatch(packed({ ts: 1, events, data_parallel_rank: 0 }))).toEqual(read)
  })

  it('has no word of caches that lose their beginning by rights, of unknown events, and of tokens that are none', () => {
    expect(
      batchOf(
        ['BlockStored', [1], null, [1, 2], 2, null, 'GPU', null, null, 1, 'sliding_window'],
        ['BlockMoved', 'anything'],
        { type: 'Heartbeat' },
      ),
    ).toEqual([])
    expect(
      batchOf(['BlockStored', [1], null, [[1, 2]], 1], ['BlockStored', [1], null, [], 16, null, 'CPU']),
    ).toEqual([
      { type: 'stored', ids: ['0/1'], tokens: [], blockTokens: 1 },
      { type: 'stored', ids: ['0/1'], tokens: [], blockTokens: 16 },
    ])
  })

  it.each([
    ['no MessagePack', Uint8Array.of(0xc1)],
    ['nothing', new Uint8Array(0)],
    ['an array without end', Uint8Array.of(0xdd, 0xff, 0xff, 0xff, 0xff)],
    ['a number', packed(7)],
    ['no events', packed([1, 'none'])],
    ['an event without a kind', packed([1, [[7]]])],
    ['hashes that are none', packed([1, [['BlockRemoved', [{}]]]])],
    ['no hashes', packed([1, [{ type: 'BlockRemoved' }]])],
    ['no size', packed([1, [['BlockStored', [1], null, [1]]]])],
    ['a parent that is none', packed([1, [['BlockStored', [1], [], [1], 1]]])],
  ])('is none where there is %s', (_, payload) => {
    expect(decodeBatch(payload)).toBeUndefined()
  })
})

it('any events come through, and any bytes are read or refused', () => {
  const hash = fc.oneof(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.uint8Array({ maxLength: 32 }))
  const blocks = fc.record({
    hashes: fc.array(hash, { maxLength: 5 }),
    parent: fc.option(hash),
    blockTokens: fc.integer({ min: 1, max: 4 }),
    named: fc.boolean(),
    token: fc.nat(200_000),
  })
  fc.assert(
    fc.property(blocks, ({ hashes, parent, blockTokens, named, token }) => {
      const tokens = Array.from({ length: hashes.length * blockTokens }, (_, at) => token + at)
      const event = named
        ? {
            type: 'BlockStored',
            block_hashes: hashes,
            parent_block_hash: parent,
            token_ids: tokens,
            block_size: blockTokens,
          }
        : ['BlockStored', hashes, parent, tokens, blockTokens]
      const [read] = batchOf(event) ?? []
      expect(read).toMatchObject({ type: 'stored', tokens, blockTokens })
      const same = batchOf(['BlockRemoved', hashes])?.[0]
      expect(read?.type === 'stored' && same?.type === 'removed' && read.ids).toEqual(
        same?.type === 'removed' && same.ids,
      )
      expect(read?.type === 'stored' && (read.parent ?? null) === null).toBe(parent === null)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      const read = decodeBatch(bytes)
      expect(read === undefined || Array.isArray(read)).toBe(true)
    }),
    { numRuns: 2000 },
  )
})
