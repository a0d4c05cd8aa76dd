import { ensureLlamaServer } from './llama-server.ts'

/** The environment that makes Drover use one engine and no other. */
export async function engineEnv(engine: 'embedded' | 'llama.cpp'): Promise<Record<string, string>> {
  if (engine === 'embedded') return { DROVER_ENGINE: 'embedded' }
  return { DROVER_ENGINE: 'llama.cpp', DROVER_LLAMA_SERVER: await ensureLlamaServer() }
}

export const bothEngines = ['embedded', 'llama.cpp'] as const
