export { ensureTunnelKey } from './key.ts'
export { createRpcNode, describeRpcWorker, type RpcNode } from './node.ts'
