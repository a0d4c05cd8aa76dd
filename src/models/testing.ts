import { type GgufMetadata, type GgufTensor, gguf, writeGguf } from './gguf/write.ts'

/*
 * For the tests of this room: a GGUF with every part that is read, of a few kilobytes. Its weights are zeros.
 */

const tokens = ['<s>', '</s>', ...Array.from({ length: 30 }, (_, index) => `t${index}`)]

/** Metadata of a small Llama: 2 layers, 64 wide, 4 heads of which 2 hold keys and values. */
export const tinyMetadata: GgufMetadata = {
  'general.architecture': gguf.string('llama'),
  'general.name': gguf.string('Tiny'),
  'general.file_type': gguf.uint32(15),
  'llama.block_count': gguf.uint32(2),
  'llama.context_length': gguf.uint32(2048),
  'llama.embedding_length': gguf.uint32(64),
  'llama.feed_forward_length': gguf.uint32(128),
  'llama.attention.head_count': gguf.uint32(4),
  'llama.attention.head_count_kv': gguf.uint32(2),
  'tokenizer.ggml.model': gguf.string('llama'),
  'tokenizer.ggml.tokens': gguf.strings(tokens),
  'tokenizer.ggml.bos_token_id': gguf.uint32(0),
  'tokenizer.ggml.eos_token_id': gguf.uint32(1),
  'tokenizer.chat_template': gguf.string('{{ messages[0].content }}'),
}

const zeros = (bytes: number) => () => [new Uint8Array(bytes)]

/** 32 * 64 input, 2 * 64 * 64 layers, 64 * 32 output, and norms. */
export const tinyTensors: readonly GgufTensor[] = [
  { name: 'token_embd.weight', type: 'F16', shape: [64, 32], data: zeros(64 * 32 * 2) },
  { name: 'blk.0.attn_q.weight', type: 'Q8_0', shape: [64, 64], data: zeros(64 * 2 * 34) },
  { name: 'blk.1.attn_q.weight', type: 'F32', shape: [64, 64], data: zeros(64 * 64 * 4) },
  { name: 'output_norm.weight', type: 'F32', shape: [64], data: zeros(64 * 4) },
  { name: 'output.weight', type: 'F16', shape: [64, 32], data: zeros(64 * 32 * 2) },
]

/** Writes the small Llama, with metadata laid over its own; undefined takes a key away. */
export async function writeTinyGguf(
  path: string,
  changes: Record<string, GgufMetadata[string] | undefined> = {},
  tensors: readonly GgufTensor[] = tinyTensors,
): Promise<void> {
  const metadata: Record<string, GgufMetadata[string]> = {}
  for (const [key, value] of Object.entries({ ...tinyMetadata, ...changes })) {
    if (value !== undefined) metadata[key] = value
  }
  await writeGguf(path, { metadata, tensors })
}
