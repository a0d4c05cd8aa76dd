export { idBlocks, type TextBlockOptions, type TokenBlockOptions, textBlocks, tokenBlocks } from './blocks.ts'
export type { PrefixBlocks, PrefixIndex, PrefixIndexOptions, PrefixMatch, PrefixStats } from './contract.ts'
export { createPrefixIndex } from './prefix-index.ts'
