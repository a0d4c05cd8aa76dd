export * from './contract.ts'
export { createDispatcher, type DispatcherParts } from './dispatcher.ts'
