import type { Message, ModelOptions } from '../inference/index.ts'

/** A model's name, taken apart. Letters keep the case they were written in. */
export interface ModelName {
  host: string
  namespace: string
  model: string
  tag: string
}

/** What a model can be asked for, by Ollama's words. */
export type Capability =
  | 'completion'
  | 'tools'
  | 'insert'
  | 'vision'
  | 'embedding'
  | 'thinking'
  | 'image'
  | 'audio'

/** `details` of `/api/tags`, `/api/show` and `/api/ps`, key by key. */
export interface ModelDetails {
  parent_model: string
  format: string
  family: string
  families: string[] | null
  parameter_size: string
  quantization_level: string
  context_length?: number
  embedding_length?: number
}

/** A model of the store: its manifest, with small layers read and big ones as paths. */
export interface StoredModel {
  name: ModelName
  /** Name as Ollama displays it: `llama3:latest`, `user/m:tag`. */
  displayName: string
  /** `registry.ollama.ai/library/llama3:latest`. */
  fullName: string
  /** Hexadecimal SHA-256 of the manifest file, without `sha256:`. */
  digest: string
  /** All layers and the config. */
  sizeBytes: number
  modifiedAtMs: number
  /** The GGUF; empty for a model that has none here (another server's, or safetensors). */
  modelPath: string
  projectorPaths: string[]
  adapterPaths: string[]
  /** A small model that drafts for this one. */
  draftPath?: string
  /** The model that this one was made from, where the manifest says so. */
  parentModel?: string
  /** Go template, where the manifest has one. */
  template?: string
  system?: string
  /** Options of the model, already of the right types; others are dropped with a warning. */
  parameters: ModelOptions
  messages: Message[]
  licenses: string[]
  config: ModelConfig
}

/** The manifest's config blob; the fields Drover reads. */
export interface ModelConfig {
  model_format?: string
  model_family?: string
  model_families?: string[] | null
  model_type?: string
  file_type?: string
  renderer?: string
  parser?: string
  requires?: string
  remote_host?: string
  remote_model?: string
  capabilities?: string[]
  context_length?: number
  embedding_length?: number
}

/** What one layer holds. */
export interface LayerShape {
  /** Of all its tensors. */
  bytes: number
  /** Of these, the routed experts': what can be left in host memory. */
  expertBytes: number
  /** The largest matrix of these (`ffn_down_exps`, of all experts together); absent where it is not told. */
  expertMatrixBytes?: number
  /** Numbers in its tensors, and of these the routed experts'. */
  parameters: number
  expertParameters: number
  /** Width of the feed-forward part (of one expert where it has experts). */
  feedForwardLength: number
  /** 0 for a dense layer. */
  expertCount: number
  /** Width of the experts that every token uses; absent where there are none. */
  sharedLength?: number
  /** Bytes of the matrices that every token multiplies, by tensor type: `{ Q4_K: 98304, Q6_K: 43008 }`. */
  matrixBytes?: Readonly<Record<string, number>>
}

/** The numbers of a model file that memory and speed follow from. */
export interface ModelShape {
  architecture: string
  parameterCount: number
  layerCount: number
  /** Trained context in tokens. */
  contextLength: number
  embeddingLength: number
  feedForwardLength: number
  headCount: number
  /** One entry a layer. */
  headCountKv: number[]
  keyLength: number
  valueLength: number
  vocabularySize: number
  /** Sliding window in tokens, where the architecture has one. */
  slidingWindow?: number
  /** One entry a layer: true where it keeps no more than the window. Absent: all keep the whole context. */
  slidingLayers?: boolean[]
  /** Keys and values of sliding layers, where they are of other lengths. */
  slidingKeyLength?: number
  slidingValueLength?: number
  /** The last layers that use the cache of earlier ones and keep none. */
  sharedKvLayers?: number
  /** Attention over a latent of `rank` numbers (MLA), with the lengths of a key and a value as they are computed with. */
  latent?: { rank: number; keyLength: number; valueLength: number }
  /** State of all recurrent layers for one sequence; such layers have no KV heads. */
  recurrentStateBytes?: number
  /** Of layers of Mamba's kind: numbers they compute with for a token, those convolved, and those of a state. */
  recurrent?: { width: number; convolved: number; convolution: number; state: number }
  expertCount?: number
  expertUsedCount?: number
  /** Bytes of every tensor of the file. */
  weightBytes: number
  /** Bytes of the tensors of each layer. */
  layerBytes: number[]
  /** Bytes of the input embedding, which always lies in host memory. */
  inputBytes: number
  /** Bytes of output head and norm. */
  outputBytes: number
  /** One entry a layer; absent where only `layerBytes` is known. */
  layers?: LayerShape[]
  /** Tensor type of the output matrix, or of the embedding that serves as one. */
  outputType?: string
  /** Queries, keys and values come of one matrix. */
  fusedQkv?: boolean
  /** How a layer widens: by a matrix and its gate (as taken where absent), by both in one matrix, or without a gate. */
  feedForward?: 'gated' | 'fused' | 'plain'
  /** Attention and feed-forward of a layer have the same input. */
  parallelLayers?: boolean
  /**
   * Where a layer normalises, if not what its parts read: the `results` of its parts (OLMo 2), or the `sums` of results
   * and what was read (BERT).
   */
  norms?: 'results' | 'sums'
  /** Tokens learn their place from a table that is added to their embeddings, not in every layer. */
  tabledPositions?: boolean
  /** There is no output matrix: the input embedding serves as one, of which a device holds a copy. */
  tiedEmbeddings?: boolean
}

/** What the model file itself says. */
export interface ModelFile {
  metadata: Record<string, unknown>
  tensors: { name: string; type: string; shape: number[] }[]
  shape: ModelShape
  /** `F16`, `Q4_K_M`, ... */
  fileType: string
  /** The GGUF's Jinja template. */
  chatTemplate?: string
  /** Text of special tokens by role, where the vocabulary has them. */
  bosToken?: string
  eosToken?: string
  /** Whether the tokenizer adds BOS by itself. */
  addsBos: boolean
  /** The file pools its states: an embedding model. */
  pooling: boolean
  /** Metadata that an engine has to be told in place of what the file says. */
  overrides?: Record<string, string | number>
}

/** Everything known about a model, for `/api/show` and for running it. */
export interface ModelDescription {
  stored: StoredModel
  file: ModelFile
  details: ModelDetails
  capabilities: Capability[]
  /** The first projector's file, of a model that sees or hears through one. */
  projector?: ModelFile
}

/** The models on this machine, in Ollama's own layout. */
export interface ModelStore {
  readonly root: string
  /** Newest first; a manifest that cannot be read is left out, with a warning in the log. */
  list(): Promise<StoredModel[]>
  /**
   * The model of a name as clients write it (case does not matter). Undefined when there is none. Throws
   * `DroverError` `invalid_request` ("invalid model name"), `store_unreadable`, `model_corrupt`.
   */
  find(name: string): Promise<StoredModel | undefined>
  /** Reads the model file's head; cached by blob. Throws `model_corrupt` saying what is wrong with which file. */
  describe(stored: StoredModel): Promise<ModelDescription>
  /** Puts a GGUF file into the store under a name, as `ollama create` would. Idempotent. */
  importGguf(name: string, source: ImportSource): Promise<StoredModel>
  /** The manifest under a name, as it was written; undefined when there is none. */
  readManifest(name: string): Promise<string | undefined>
  /**
   * Puts a manifest under a name, and removes what only the one that it replaces had used. Throws `internal` where a
   * blob of it is not there (any more).
   */
  writeManifest(name: string, manifest: string): Promise<void>
  /** Path of a blob, whether it is there or not. Throws `invalid_request` for a bad digest. */
  blobPath(digest: string): string
  /** Gives a model a second name. Throws `model_not_found`, `invalid_request` (a name that is none). */
  copy(source: string, destination: string): Promise<void>
  /** Removes a name, then the blobs that nothing else uses. Throws `model_not_found`. */
  remove(name: string): Promise<void>
  /** Size of a blob (`sha256:...`); undefined when there is none. Throws `invalid_request` for a bad digest. */
  blobSize(digest: string): Promise<number | undefined>
  /**
   * Stores what comes under its digest; false when it was there already, and then nothing is read. Throws
   * `invalid_request` (`digest mismatch, ...`), having stored nothing.
   */
  putBlob(digest: string, content: AsyncIterable<Uint8Array>, signal: AbortSignal): Promise<boolean>
  /** Removes blobs that no manifest uses and empty folders, sparing what is younger than an hour. */
  prune(): Promise<void>
}

/** One line of progress of a pull, a push or a creation, key by key as the API streams it. */
export interface Progress {
  status: string
  digest?: string
  total?: number
  completed?: number
}

export interface TransferOptions {
  /** Plain HTTP, and certificates that nobody vouches for, are accepted. */
  insecure?: boolean
}

/** Models of other servers, by Ollama's registry protocol. A stream of progress ends with `success`, or throws. */
export interface Registry {
  pull(name: string, options: TransferOptions, signal: AbortSignal): AsyncIterable<Progress>
  push(name: string, options: TransferOptions, signal: AbortSignal): AsyncIterable<Progress>
  /** The tags of a model; empty where the registry keeps no list. */
  tags(name: string, options: TransferOptions, signal: AbortSignal): Promise<string[]>
  /**
   * What a model is, without fetching it: by its manifest and the head of its file. Undefined where the registry has no
   * model of that name, or none of one GGUF file.
   */
  inspect(name: string, options: TransferOptions, signal: AbortSignal): Promise<RemoteModelFile | undefined>
}

/** A registry's model. */
export interface RemoteModelFile {
  file: ModelFile
  projectorBytes?: number
  /** Of all its layers. */
  sizeBytes: number
}

/** A model to make, as `/api/create` asks for it. */
export interface CreateRequest {
  model: string
  /** A model's name to start from. */
  from?: string
  /** Blobs of the store by the file names they had. */
  files?: Record<string, string>
  draftFiles?: Record<string, string>
  adapters?: Record<string, string>
  template?: string
  licenses?: string[]
  system?: string
  parameters?: Record<string, unknown>
  messages?: Message[]
  renderer?: string
  parser?: string
  requires?: string
  quantize?: string
  draftQuantize?: string
  remoteHost?: string
  info?: Record<string, unknown>
}

/** Makes models. Progress ends with `success`, or throws. */
export type ModelMaker = (request: CreateRequest, signal: AbortSignal) => AsyncIterable<Progress>

export interface ImportSource {
  path: string
  template?: string
  system?: string
  parameters?: ModelOptions
  license?: string
}
