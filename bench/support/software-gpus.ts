import { join } from 'node:path'
import { debianSource } from '../../src/engines/install/debian.ts'
import { installLlamaCpp } from '../../src/engines/install/index.ts'
import { testEnginesDir } from '../../test/support/llama-server.ts'

/**
 * A llama.cpp with Vulkan, and Mesa's llvmpipe, which Vulkan lists as often as it is asked to (420 MB, put into the test
 * cache once): so many GPUs in software, for this process and all that it starts. Returns the path of `llama-server`.
 * Rejects where it cannot be had (Debian's packages `libggml0-backend-vulkan` and `mesa-vulkan-drivers`).
 */
export async function useSoftwareGpus(count: number): Promise<string> {
  const { path } = await installLlamaCpp({
    enginesDir: `${testEnginesDir}-software-gpu`,
    sources: [debianSource({ vulkan: true, extraPackages: ['mesa-vulkan-drivers'] })],
  })
  // Of the whole process: the engine asks for the devices before it starts an instance.
  process.env['VK_DRIVER_FILES'] = join(path, '../../root/usr/share/vulkan/icd.d/lvp_icd.json')
  process.env['GGML_VK_VISIBLE_DEVICES'] = Array.from({ length: count }, () => 0).join(',')
  return path
}
