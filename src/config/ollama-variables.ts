/** Variables that Ollama itself no longer reads, and that are still set in many places. */
const removed = [
  'OLLAMA_NEW_ENGINE',
  'OLLAMA_NEW_ESTIMATES',
  'OLLAMA_MULTIUSER_CACHE',
  'OLLAMA_INTEL_GPU',
  'OLLAMA_MAX_VRAM',
  'OLLAMA_TMPDIR',
  'OLLAMA_RUNNERS_DIR',
  'OLLAMA_REGISTRY_MAXSTREAMS',
]

/** Variables of Ollama's server that change nothing here, and what to do in their place where there is something. */
const withoutEffect: Record<string, string> = {
  OLLAMA_SCHED_SPREAD: 'set LLAMA_ARG_SPLIT_MODE and LLAMA_ARG_TENSOR_SPLIT for llama-server',
  OLLAMA_LLM_LIBRARY: 'set llamaServer to the build that should be used',
  OLLAMA_VULKAN: 'the engine decides by what it was built with',
  OLLAMA_IGPU_ENABLE: 'the engine decides by what it was built with',
  OLLAMA_DEBUG_LOG_REQUESTS: 'Drover does not write requests down',
  OLLAMA_MAX_TRANSFER_STREAMS: 'it is about models of safetensors, which Drover does not pull',
  OLLAMA_REMOTES: 'Drover sends nothing to other services',
  OLLAMA_AUTH: 'put Drover behind a proxy that checks who asks',
  OLLAMA_CLOUD_BASE_URL: 'Drover sends nothing to other services',
  OLLAMA_EXPERIMENT: '',
  OLLAMA_LLAMA_CPP_COMPAT: "it patches Ollama's own llama.cpp",
  OLLAMA_LIBRARY_PATH: 'set llamaServer to the build that should be used',
}

/** Nothing to say: their wish is how Drover is anyway, or they are for clients and other programs. */
const quiet = new Set([
  'OLLAMA_NO_CLOUD',
  'OLLAMA_NOHISTORY',
  'OLLAMA_EDITOR',
  'OLLAMA_API_KEY',
  'OLLAMA_SKILLS',
  'OLLAMA_AGENT_DISABLE_SHELL',
  'OLLAMA_AGENT_DISABLE_WEBSEARCH',
  'OLLAMA_DOT_COM_URL',
  'OLLAMA_CORS',
])

/** What to tell about a variable of Ollama's that no setting reads; undefined when there is nothing to tell. */
export function aboutVariable(name: string): string | undefined {
  if (quiet.has(name)) return undefined
  if (removed.includes(name)) return `${name} is set, but Ollama has dropped it and it has no effect`
  const advice = withoutEffect[name]
  if (advice === undefined) return `${name} is set, but it is no variable of Ollama's and has no effect`
  return `${name} is set, but has no effect in Drover${advice && `: ${advice}`}`
}
