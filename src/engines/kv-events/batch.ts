import { decode } from '@msgpack/msgpack'

/**
 * What has changed in an engine's KV cache. A block is named by its hash, and by its group where a model has several
 * kinds of cache. Several copies of a block may be stored, in one memory or in several; each is removed by itself.
 */
export type KvEvent = BlocksStored | { type: 'removed'; ids: readonly string[] } | { type: 'cleared' }

export interface BlocksStored {
  type: 'stored'
  /** Each the child of the one before. */
  ids: readonly string[]
  /** What comes before the first; absent: nothing, it begins a prompt. */
  parent?: string
  /** Of all blocks one after the other; empty where the engine does not tell them. */
  tokens: readonly number[]
  blockTokens: number
}

/** In the order in which the older releases have them, which write events without names. */
const fieldsOf = {
  BlockStored: [
    'block_hashes',
    'parent_block_hash',
    'token_ids',
    'block_size',
    'lora_id',
    'medium',
    'lora_name',
    'extra_keys',
    'group_idx',
    'kv_cache_spec_kind',
  ],
  BlockRemoved: ['block_hashes', 'medium', 'group_idx'],
  AllBlocksCleared: [],
} as const

type Fields = Record<string, unknown>

/** Caches that need all of a prompt. Those of a window, or of a state, lose their beginning and are good all the same. */
const wholeKinds: readonly unknown[] = ['full_attention', 'mla_attention', 'sink_full_attention']

/**
 * Reads one batch of vLLM's and SGLang's KV cache events (`vllm/distributed/kv_events.py`): MessagePack of time, events
 * and rank, as an array or by names. Each event is an array that begins with its kind (older vLLM, SGLang), or a map that
 * has it as `type` (newer vLLM). Kinds and fields that are not known are passed over. Undefined for what is no such batch.
 */
export function decodeBatch(payload: Uint8Array): KvEvent[] | undefined {
  let batch: unknown
  try {
    // An element is a byte at least: no length beyond the payload's makes anybody set memory aside.
    const most = payload.length
    batch = decode(payload, { useBigInt64: true, maxArrayLength: most, maxMapLength: most })
  } catch {
    // What is wrong with it in MessagePack's words helps nobody.
    return undefined
  }
  const events = Array.isArray(batch) ? batch[1] : isFields(batch) ? batch['events'] : undefined
  if (!Array.isArray(events)) return undefined
  const read: KvEvent[] = []
  for (const event of events) {
    const one = eventOf(event)
    if (one === 'malformed') return undefined
    if (one) read.push(one)
  }
  return read
}

/** Undefined for what does not matter here. */
function eventOf(event: unknown): KvEvent | 'malformed' | undefined {
  const kind = Array.isArray(event) ? event[0] : isFields(event) ? event['type'] : undefined
  if (typeof kind !== 'string') return 'malformed'
  if (!Object.hasOwn(fieldsOf, kind)) return undefined
  const names = fieldsOf[kind as keyof typeof fieldsOf]
  const fields = Array.isArray(event)
    ? Object.fromEntries(names.map((name, at) => [name, event[at + 1]]))
    : (event as Fields)
  if (kind === 'AllBlocksCleared') return { type: 'cleared' }
  const ids = idsOf(fields)
  if (!ids) return 'malformed'
  return kind === 'BlockRemoved' ? { type: 'removed', ids } : storedOf(fields, ids)
}

function storedOf(fields: Fields, ids: string[]): BlocksStored | 'malformed' | undefined {
  const { token_ids, block_size, parent_block_hash, kv_cache_spec_kind } = fields
  if (kv_cache_spec_kind != null && !wholeKinds.includes(kv_cache_spec_kind)) return undefined
  if (!Number.isInteger(block_size) || !Array.isArray(token_ids)) return 'malformed'
  const blockTokens = block_size as number
  const parent = parent_block_hash == null ? undefined : idOf(parent_block_hash, fields)
  if (parent_block_hash != null && parent === undefined) return 'malformed'
  // Others tell pairs of tokens, or blocks that are not full.
  const whole = token_ids.length === ids.length * blockTokens && token_ids.every(Number.isInteger)
  return {
    type: 'stored',
    ids,
    ...(parent !== undefined && { parent }),
    tokens: whole ? (token_ids as number[]) : [],
    blockTokens,
  }
}

function idsOf(fields: Fields): string[] | undefined {
  const hashes = fields['block_hashes']
  if (!Array.isArray(hashes)) return undefined
  const ids = hashes.flatMap((hash) => idOf(hash, fields) ?? [])
  return ids.length === hashes.length ? ids : undefined
}

/** Hashes are 64-bit integers or bytes. */
function idOf(hash: unknown, { group_idx }: Fields): string | undefined {
  const group = group_idx ?? 0
  if (typeof hash === 'bigint' || typeof hash === 'number') return `${group}/${hash}`
  return hash instanceof Uint8Array ? `${group}/${Buffer.from(hash).toString('base64')}` : undefined
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
