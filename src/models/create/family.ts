/** What Ollama gives a model of some architectures that is made without a word about its format. */
export interface FamilyDefaults {
  renderer: string
  parser: string
  parameters?: { stop: string[] }
}

/** By the architecture of the GGUF; most have none, and keep the template of their file. */
export function familyDefaults(architecture: string): FamilyDefaults | undefined {
  if (architecture === 'gemma4') {
    return { renderer: 'gemma4', parser: 'gemma4', parameters: { stop: ['<turn|>'] } }
  }
  if (architecture === 'laguna') return { renderer: 'laguna', parser: 'laguna' }
  if (/^nemotron_h(_moe)?$/.test(architecture)) {
    return { renderer: 'nemotron-3-nano', parser: 'nemotron-3-nano' }
  }
  return undefined
}
