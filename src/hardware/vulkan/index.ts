import type { OutputReader } from '../contract.ts'
import { vulkaninfoReader } from './vulkaninfo.ts'

export { vulkanProbe } from './probe.ts'

/** Readers of what tells the Vulkan devices. */
export const vulkanReaders: readonly OutputReader[] = [vulkaninfoReader]
