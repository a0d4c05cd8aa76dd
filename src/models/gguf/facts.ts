/** A tensor of a GGUF file. */
export interface TensorFacts {
  name: string
  /** ggml's name: `F16`, `Q4_K`. */
  type: string
  /** Innermost dimension first, as in the file. */
  shape: number[]
  bytes: number
}

export type Metadata = Record<string, unknown>
