/** Looks which devices the library can use, in a process of its own: native code stays out of Drover's. */
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import type { Discovery } from './protocol.ts'

/** How llama.cpp begins its devices' names. */
const deviceNames = { cuda: 'CUDA', vulkan: 'Vulkan', metal: 'MTL' }

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const llama = await getLlama({
  build: 'never',
  skipDownload: true,
  maxThreads: 1,
  logLevel: LlamaLogLevel.disabled,
})
const { gpu } = llama
const descriptions = gpu === false ? [] : await llama.getGpuDeviceNames()
const { total, free } = gpu === false ? { total: 0, free: 0 } : await llama.getVramState()
const discovery: Discovery = {
  llamaCpp: llama.llamaCppRelease.release,
  devices: descriptions.map((description, index) => ({
    name: `${gpu === false ? 'CPU' : deviceNames[gpu]}${index}`,
    description,
  })),
  totalBytes: total,
  freeBytes: free,
}
process.send?.(discovery, () => process.exit(0))
