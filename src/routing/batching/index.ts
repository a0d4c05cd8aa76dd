export {
  createEmbedBatcher,
  type EmbedAnswer,
  type EmbedBatcher,
  type EmbedTarget,
  embedOver,
} from './embeddings.ts'
export { createJoiner, type Joiner } from './join.ts'
export { type RepeatableRequest, requestKey } from './request-key.ts'
export { createResponseCache, type ResponseCache, type ResponseCacheStats } from './response-cache.ts'
