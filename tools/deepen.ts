/**
 * Makes a larger model that says exactly what a smaller one says: layers are added whose outputs are nought, so that
 * each passes on what it was given. For tests and benchmarks of what takes a large model and a small one that agree.
 * Usage: node tools/deepen.ts --in FILE.gguf --out FILE.gguf --layers 60
 */
import { open } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { GGMLQuantizationType, GGUFValueType, gguf } from '@huggingface/gguf'
import {
  encodedBytes,
  type GgufTensor,
  type GgufValue,
  type WritableType,
  writeGguf,
} from '../src/models/gguf/write.ts'

/** What a layer adds to its input comes out of these. */
const outputs = /\.(attn_output|ffn_down)\.weight$/
const chunkBytes = 1 << 20

/** Writes `from` with `extraLayers` more. Types of tensors that Drover cannot write are refused. */
export async function deepenGguf(from: string, to: string, extraLayers: number): Promise<void> {
  const model = await gguf(from, { allowLocalFile: true, typedMetadata: true })
  const { typedMetadata, tensorInfos, tensorDataOffset } = model
  const architecture = String(typedMetadata['general.architecture']?.value)
  const countKey = `${architecture}.block_count`
  const metadata: Record<string, GgufValue> = {}
  for (const [key, entry] of Object.entries(typedMetadata)) {
    // The file's own header, which is written anew.
    if (['version', 'tensor_count', 'kv_count'].includes(key) || entry === undefined) continue
    metadata[key] = writtenValue(entry as TypedEntry)
  }
  const layers = Number(typedMetadata[countKey as keyof typeof typedMetadata]?.value)
  metadata[countKey] = { type: 'uint32', value: layers + extraLayers }

  const file = await open(from)
  try {
    const tensors = tensorInfos.map((info): GgufTensor => {
      const type = GGMLQuantizationType[info.dtype] as WritableType
      const shape = info.shape.map(Number)
      return {
        name: info.name,
        type,
        shape,
        data: () => readTensor(Number(tensorDataOffset + info.offset), type, shape),
      }
    })
    const last = tensors.filter(({ name }) => name.startsWith(`blk.${layers - 1}.`))
    const added = Array.from({ length: extraLayers }, (_, index) =>
      last.map((tensor): GgufTensor => {
        const name = tensor.name.replace(`blk.${layers - 1}.`, `blk.${layers + index}.`)
        return outputs.test(name) ? { ...tensor, name, data: () => noughts(tensor) } : { ...tensor, name }
      }),
    )
    await writeGguf(to, { metadata, tensors: [...tensors, ...added.flat()] })
  } finally {
    await file.close()
  }

  async function* readTensor(start: number, type: WritableType, shape: readonly number[]) {
    const bytes = encodedBytes(type, shape)
    for (let at = 0; at < bytes; at += chunkBytes) {
      const size = Math.min(chunkBytes, bytes - at)
      yield (await file.read(Buffer.alloc(size), 0, size, start + at)).buffer
    }
  }
}

interface TypedEntry {
  value: unknown
  type: GGUFValueType
  subType?: GGUFValueType
}

function writtenValue({ value, type, subType }: TypedEntry): GgufValue {
  const nameOf = (number: GGUFValueType) => GGUFValueType[number].toLowerCase()
  const plain = (one: unknown) => (typeof one === 'bigint' ? Number(one) : one)
  const written =
    type === GGUFValueType.ARRAY && subType !== undefined
      ? { type: 'array', items: nameOf(subType), value: (value as unknown[]).map(plain) }
      : { type: nameOf(type), value: plain(value) }
  return written as GgufValue
}

function* noughts({ type, shape }: Pick<GgufTensor, 'type' | 'shape'>): Generator<Uint8Array> {
  for (let left = encodedBytes(type, shape); left > 0; left -= chunkBytes) {
    yield new Uint8Array(Math.min(chunkBytes, left))
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: { in: { type: 'string' }, out: { type: 'string' }, layers: { type: 'string', default: '60' } },
  })
  if (!values.in || !values.out)
    throw new Error('usage: node tools/deepen.ts --in FILE --out FILE --layers N')
  await deepenGguf(values.in, values.out, Number(values.layers))
}
