export { clientUrl, type HostAddress } from './host.ts'
export { ConfigError, type ConfigSources } from './layer.ts'
export { type Config, type LoadedConfig, loadConfig } from './load.ts'
