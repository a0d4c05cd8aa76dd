import type { Backend } from '../contract.ts'

const mib = 2 ** 20

/**
 * What a backend takes of a device beside llama.cpp's buffers: the driver's context and kernels once, and workspaces
 * of its matrix library. None of it is in the engine's log; it is what `nvidia-smi` and its kind show more than the
 * buffers do, for common cards and rounded up.
 */
const contextBytes: Readonly<Record<Backend, number>> = {
  cuda: 450 * mib,
  rocm: 400 * mib,
  sycl: 300 * mib,
  vulkan: 150 * mib,
  metal: 100 * mib,
  cpu: 0,
}

/** Communication of a tensor split, as measured for NCCL (NVIDIA's aiconfigurator): 342 MB at 2 GPUs, 392 at more. */
const ncclBytes = (devices: number): number => (devices <= 2 ? 342e6 : 392e6)
const splitBytes = 64 * mib

/** The backend's own memory on one device of an instance, of which `tensorSize` share each layer. */
export function backendBytes(backend: Backend, tensorSize: number): number {
  const context = contextBytes[backend]
  if (tensorSize <= 1 || backend === 'cpu') return context
  return context + (backend === 'cuda' || backend === 'rocm' ? ncclBytes(tensorSize) : splitBytes)
}

/** The engine's process itself: code, vocabulary, grammar and HTTP buffers; some 100 bytes a token of the vocabulary. */
export function processBytes(vocabularySize: number): number {
  return 60 * mib + 400 * vocabularySize
}
