export { githubSource } from './github.ts'
export {
  type InstalledEngine,
  installedServerPath,
  installLlamaCpp,
  listInstalled,
  removeEngine,
} from './install.ts'
export type { EngineSource, InstallProgress, ObtainContext } from './source.ts'
