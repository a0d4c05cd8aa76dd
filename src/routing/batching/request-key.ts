import { createHash } from 'node:crypto'
import type { ModelOptions, OutputFormat, Think, Tool } from '../../inference/index.ts'

/** Everything that decides what the answer to a request is. */
export interface RepeatableRequest {
  tenant: string
  /** The model's files, and its manifest: template, parameters and system prompt are in it. */
  modelKey: string
  modelDigest: string
  /** As the engine gets it. */
  prompt: string
  images?: readonly Uint8Array[]
  /** The model's and the request's, merged. */
  options: ModelOptions
  format?: OutputFormat
  tools?: readonly Tool[]
  think?: Think
  /** What else shapes the answer: kind of request, `raw`, `shift`, `truncate`, log-probabilities. */
  more: Readonly<Record<string, string | number | boolean | undefined>>
}

/**
 * One text for all requests that have the same answer; undefined where answers differ from run to run: those with a
 * temperature and no seed. Requests of different tenants never have the same key, so that none can find out by the
 * time of an answer what another has asked.
 */
export function requestKey(request: RepeatableRequest): string | undefined {
  const { options, images = [] } = request
  const isGreedy = options.temperature === 0
  if (!isGreedy && (options.seed ?? -1) < 0) return undefined
  // Order means something in a schema (a model writes its members in it), but nothing in options.
  const parts = [
    request.tenant,
    request.modelKey,
    request.modelDigest,
    request.prompt,
    JSON.stringify(sorted(isGreedy ? { ...options, seed: 0 } : options)),
    JSON.stringify(request.format ?? null),
    JSON.stringify(request.tools ?? []),
    JSON.stringify(request.think ?? null),
    JSON.stringify(sorted(request.more)),
  ]
  const hash = createHash('sha256')
  for (const part of [...parts, ...images]) {
    hash.update(`${typeof part === 'string' ? Buffer.byteLength(part) : part.byteLength}:`).update(part)
  }
  return hash.digest('base64url')
}

function sorted(members: object): [string, unknown][] {
  return Object.entries(members)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}
