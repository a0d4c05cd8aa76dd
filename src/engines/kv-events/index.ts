export { type KvCacheWatch, watchKvCache } from './watch.ts'
