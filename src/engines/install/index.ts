export type { EngineSource, InstallProgress, ObtainContext } from './source.ts'
export { debianSource } from './debian.ts'
export { githubSource } from './github.ts'
export { homebrewSource } from './homebrew.ts'
export {
  type InstalledEngine,
  installLlamaCpp,
  installedServerPath,
  listInstalled,
  removeEngine,
} from './install.ts'
