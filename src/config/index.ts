export {
  type Change,
  changesBetween,
  type DescribedSetting,
  describeSettings,
  findSettings,
  withChanges,
} from './changes.ts'
export { defaultFile } from './default-file.ts'
export type { DeviceEntry, DeviceSelector, DeviceSettings } from './devices.ts'
export { parseDeviceSelector } from './devices.ts'
export { parseDurationMs } from './durations.ts'
export { type Edit, editedFile, replaceFile } from './edit.ts'
export { clientUrl, type HostAddress } from './host.ts'
export { type ImportedIni, importIni } from './import-ini.ts'
export { ConfigError, type ConfigSources, rowOf } from './layer.ts'
export { type Config, configOf, type LoadedConfig, loadConfig, type MultiGpu } from './load.ts'
export { ollamaVersion } from './ollama-version.ts'
export { configSchema } from './schema.ts'
export { type Setting, type SettingName, variableOf } from './settings.ts'
export { parseSizeBytes } from './sizes.ts'
