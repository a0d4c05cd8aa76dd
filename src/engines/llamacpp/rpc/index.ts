export { ensureTunnelKey } from './key.ts'
export type { NetworkFacts } from './measure.ts'
export { createRpcNode, describeRpcWorker, type RpcNode } from './node.ts'
