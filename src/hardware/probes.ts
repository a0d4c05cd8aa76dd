import { amdProbe, amdReaders } from './amd/index.ts'
import { appleProbe, appleReaders } from './apple/index.ts'
import type { DeviceProbe, OutputReader } from './contract.ts'
import { intelProbe, intelReaders } from './intel/index.ts'
import { nvidiaProbe, nvidiaReaders } from './nvidia/index.ts'
import { otherReaders } from './other/index.ts'
import { pciProbe, pciReaders } from './pci/index.ts'
import { vulkanProbe, vulkanReaders } from './vulkan/index.ts'

/** In order of trust: the vendors' own tools and drivers, then what tells of every vendor's cards. */
export const deviceProbes: readonly DeviceProbe[] = [
  nvidiaProbe,
  amdProbe,
  intelProbe,
  appleProbe,
  vulkanProbe,
  pciProbe,
]

/** Readers of every text that a tool of these prints. */
export const outputReaders: readonly OutputReader[] = [
  ...nvidiaReaders,
  ...amdReaders,
  ...intelReaders,
  ...appleReaders,
  ...vulkanReaders,
  ...pciReaders,
  ...otherReaders,
]
