export { type AdmissionQueue, createAdmissionQueue, defaultAdmissionLimits } from './admission/index.ts'
export {
  type Batch,
  type BatchEndpoint,
  type Batches,
  type BatchWish,
  batchEndpoints,
  createBatches,
  defaultBatchLimits,
  type ExecuteCall,
  type FileWish,
  type Page,
  type PageWish,
  type StoredFile,
} from './batches/index.ts'
export { createEmbedBatcher, createJoiner, createResponseCache } from './batching/index.ts'
export type * from './contract.ts'
export { type ConversationKeeper, createConversationKeeper } from './conversations.ts'
export {
  createDispatcher,
  type Decision,
  type Dispatcher,
  type DispatchInstance,
  type DispatchRequest,
} from './dispatch/index.ts'
export { createHealthBook, createRetryBudget, defaultHealthLimits } from './health/index.ts'
export { createHedger } from './hedging/index.ts'
export type { DeviceRoom, LoadOptions, LoadPlan, LoadWish, MachineFacts, Move } from './lifecycle/index.ts'
export { loadOptionsOf } from './options.ts'
export { filterCandidates, type PolicyName, policies, policyNames } from './policy/index.ts'
export {
  createPool,
  type DeviceTrouble,
  type InstanceReport,
  type Pool,
  type PoolOptions,
} from './pool/index.ts'
export { createPredictor } from './prediction/index.ts'
export { createPrefixIndex, idBlocks, type PrefixBlocks } from './prefix/index.ts'
export type { ResolvedModel } from './resolve.ts'
export { policyNamed, type RouteKnowledge, usualBlockTokens } from './route-request.ts'
export { createRouter, type RouterOptions } from './router.ts'
export { createSessionCache, type SessionCache } from './sessions/index.ts'
export { createTokenEstimate } from './token-estimate.ts'
