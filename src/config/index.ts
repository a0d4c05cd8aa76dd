export { clientUrl, type HostAddress } from './host.ts'
export type { ConfigSources } from './layer.ts'
export { type Config, type LoadedConfig, loadConfig } from './load.ts'
export { ollamaVersion } from './ollama-version.ts'
