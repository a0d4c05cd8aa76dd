/** Looks which devices the library can use, in a process of its own: native code stays out of Drover's. */
import { getLlama, LlamaLogLevel } from 'node-llama-cpp'
import type { Discovery } from './protocol.ts'

process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))

const llama = await getLlama({
  build: 'never',
  skipDownload: true,
  maxThreads: 1,
  logLevel: LlamaLogLevel.disabled,
})
const names = llama.gpu === false ? [] : await llama.getGpuDeviceNames()
const vram = names.length > 0 ? await llama.getVramState() : { total: 0, free: 0 }
const discovery: Discovery = {
  llamaCpp: llama.llamaCppRelease.release,
  gpu: llama.gpu,
  // The library tells only the sum of their memory.
  devices: names.map((description, index) => ({
    name: `${llama.gpu}${index}`,
    description,
    totalBytes: Math.floor(vram.total / names.length),
    freeBytes: Math.floor(vram.free / names.length),
  })),
}
process.send?.(discovery, () => process.exit(0))
