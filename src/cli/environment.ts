import type { Command } from 'commander'

/** What each variable of the environment does, in the words of a line of help. */
const variables = {
  OLLAMA_HOST: 'Address of the server (default 127.0.0.1:11434)',
  OLLAMA_EDITOR: 'Editor that Ctrl-G opens (default: VISUAL, then EDITOR, then vi)',
  OLLAMA_NOHISTORY: 'Do not keep a history of what is typed',
  OLLAMA_DEBUG: 'Log more (1), or everything (2)',
  OLLAMA_CONTEXT_LENGTH: 'Context length unless a model or request says otherwise',
  OLLAMA_KEEP_ALIVE: 'How long an idle model stays loaded (default 5m)',
  OLLAMA_MAX_LOADED_MODELS: 'Models loaded at once (default: three a GPU)',
  OLLAMA_MAX_QUEUE: 'Requests that may wait for a model (default 512)',
  OLLAMA_MODELS: 'Folder of the models (default ~/.ollama/models)',
  OLLAMA_NUM_PARALLEL: 'Requests that a model answers at once (default 1)',
  OLLAMA_NOPRUNE: 'Keep blobs that no model uses',
  OLLAMA_ORIGINS: 'More web origins that may call the server, with commas between',
  OLLAMA_FLASH_ATTENTION: 'Flash attention on or off (default: where the engine can)',
  OLLAMA_KV_CACHE_TYPE: 'Number format of the KV cache (default f16)',
  OLLAMA_LOAD_TIMEOUT: 'How long a load may stand still (default 5m)',
  OLLAMA_MULTI_GPU: 'Whether a model may take several GPUs (default true)',
  OLLAMA_GPU_STRATEGY: 'auto, single, data, tensor, pipeline or hybrid',
  OLLAMA_TENSOR_PARALLEL_SIZE: 'GPUs that share each layer',
  OLLAMA_PIPELINE_PARALLEL_SIZE: 'Stages of layers',
  OLLAMA_CUDA_GPUS: "Numbers of NVIDIA's GPUs to use, with commas between",
  OLLAMA_ROCM_GPUS: "Numbers of AMD's GPUs to use",
  OLLAMA_INTEL_GPUS: "Numbers of Intel's GPUs to use",
  OLLAMA_GPU_MEMORY_POOL: 'Whether the memory of several GPUs counts as one (default true)',
  OLLAMA_KV_CACHE_DISTRIBUTION: 'Where the KV cache lies: by_layer or balanced',
  OLLAMA_AUTO_MIGRATION: 'Whether models move by themselves when load changes (default true)',
  OLLAMA_BACKEND: 'Engine that is taken first, such as vllm or llama_cpp',
  OLLAMA_FALLBACK_BACKEND: 'Engine that is taken where the first cannot',
} as const

const ofServe = Object.keys(variables).filter((name) => !/EDITOR|HISTORY/.test(name))
const ofRun = ['OLLAMA_EDITOR', 'OLLAMA_HOST', 'OLLAMA_NOHISTORY']

/** Commands that ask no server. */
const offline = ['engine', 'completion', 'mock-engine', 'config']

/** The variables that a command heeds, and what they do. */
export function environmentOf(command: Command): [string, string][] {
  if (!command.parent || offline.includes(command.name()) || command.parent.parent) return []
  const special: Record<string, readonly string[]> = { serve: ofServe, run: ofRun }
  const names = special[command.name()] ?? ['OLLAMA_HOST']
  return names.map((name) => [name, variables[name as keyof typeof variables]])
}
