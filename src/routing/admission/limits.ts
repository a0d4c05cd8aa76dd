import type { AdmissionLimits } from './contract.ts'

/** Room for as many as Ollama lets wait (`OLLAMA_MAX_QUEUE`), and the promotion times of SGLang's gateway. */
export const defaultAdmissionLimits: AdmissionLimits = {
  maxWaiting: 512,
  promoteAfterMs: { system: 5000, interactive: 5000, default: 30_000, bulk: 120_000 },
  // What an answered token costs an engine against one of the prompt, as the authors of VTC have it.
  outputWeight: 2,
}
