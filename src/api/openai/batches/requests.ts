import { DroverError } from '../../../inference/index.ts'
import { type BatchEndpoint, type BatchWish, batchEndpoints, type PageWish } from '../../../routing/index.ts'
import { type Decoded, goAny, goInt, goString, goStruct } from '../../go-json/index.ts'

export const batchRequest = goStruct('openai', 'BatchRequest', {
  input_file_id: goString,
  endpoint: goString,
  completion_window: goString,
  metadata: goAny,
  output_expires_after: goStruct('openai', 'ExpiresAfter', { anchor: goString, seconds: goInt }),
})

const refuse = (message: string) => new DroverError('invalid_request', message)

const hourS = 3600
/** OpenAI has `24h` alone; where the engines are one's own, a batch may take its time. */
const longestWindowHours = 168
const defaultWindow = '24h'

/** What a new batch is to be. Throws `invalid_request`. */
export function toBatchWish(body: Partial<Decoded<typeof batchRequest>>): BatchWish {
  const { input_file_id: inputFileId, endpoint, completion_window: window = defaultWindow, metadata } = body
  if (!inputFileId) throw refuse('input_file_id is required')
  const expiresAfter = body.output_expires_after
  return {
    inputFileId,
    endpoint: toEndpoint(endpoint),
    windowS: toWindowS(window),
    ...(metadata !== undefined && metadata !== null && { metadata: toMetadata(metadata) }),
    ...(expiresAfter && {
      outputExpiresAfterS: toLifetimeS('output_expires_after', expiresAfter.anchor, expiresAfter.seconds),
    }),
  }
}

function toEndpoint(endpoint = ''): BatchEndpoint {
  const found = batchEndpoints.find((one) => one === endpoint)
  if (found) return found
  throw refuse(`Invalid value for 'endpoint': '${endpoint}'. Supported values: ${batchEndpoints.join(', ')}.`)
}

function toWindowS(window: string): number {
  const hours = Number(/^(\d{1,3})h$/.exec(window)?.[1])
  if (hours >= 1 && hours <= longestWindowHours) return hours * hourS
  throw refuse(
    `Invalid value for 'completion_window': '${window}'. It is '24h', or other hours up to '${longestWindowHours}h'.`,
  )
}

const mostPairs = 16
const longestKey = 64
const longestValue = 512

function toMetadata(metadata: unknown): Record<string, string> {
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    throw refuse("Invalid type for 'metadata': it is an object of texts.")
  }
  const pairs = Object.entries(metadata)
  if (pairs.length > mostPairs) throw refuse(`'metadata' has more than ${mostPairs} members`)
  const texts: Record<string, string> = {}
  for (const [key, value] of pairs) {
    if (typeof value !== 'string')
      throw refuse(`Invalid type for 'metadata.${key.slice(0, longestKey)}': it is a text.`)
    if (key.length > longestKey || value.length > longestValue) {
      throw refuse(`'metadata' has keys of ${longestKey} and values of ${longestValue} characters at most`)
    }
    texts[key] = value
  }
  return texts
}

const shortestLifeS = hourS
const longestLifeS = 30 * 24 * hourS

/** How long a file is kept. Throws `invalid_request`. */
export function toLifetimeS(name: string, anchor: string | undefined, seconds: number | undefined): number {
  if (anchor !== 'created_at') throw refuse(`Invalid value for '${name}.anchor': it is 'created_at'.`)
  if (seconds !== undefined && seconds >= shortestLifeS && seconds <= longestLifeS) return seconds
  throw refuse(`Invalid value for '${name}.seconds': it is from ${shortestLifeS} to ${longestLifeS}.`)
}

/** Input files are kept so long where nothing else is said, as at OpenAI. */
export const defaultLifetimeS = longestLifeS

/** Which page of a list is wanted, from the query. Throws `invalid_request`. */
export function toPage(query: unknown, limits: { usual: number; most: number }): PageWish {
  const { limit, after, order } = query as Record<string, unknown>
  const count = limit === undefined ? limits.usual : Number(limit)
  if (!Number.isInteger(count) || count < 1 || count > limits.most) {
    throw refuse(`Invalid value for 'limit': it is from 1 to ${limits.most}.`)
  }
  if (order !== undefined && order !== 'asc' && order !== 'desc') {
    throw refuse("Invalid value for 'order': it is 'asc' or 'desc'.")
  }
  return {
    limit: count,
    ...(typeof after === 'string' && after !== '' && { after }),
    ...(order !== undefined && { order }),
  }
}
