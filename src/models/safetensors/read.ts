import { open, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { isMissing } from '../files.ts'
import { type SafetensorsModel, type SafetensorsTensor, safetensorsModel } from './shape.ts'

const indexName = 'model.safetensors.index.json'
/** No header of a model is longer; what claims so is no safetensors file. */
const largestHeaderBytes = 100 * 2 ** 20

const indexSchema = z.object({
  metadata: z.object({ total_size: z.number().nonnegative() }).partial().optional(),
})
const tensorSchema = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().nonnegative()),
  data_offsets: z.tuple([z.number().nonnegative(), z.number().nonnegative()]),
})

/**
 * The shape of a model in a Hugging Face folder: `config.json`, the headers of its `*.safetensors` files, and where those
 * are not there (yet) the index's sum of them. No weight is read. Throws `Error` naming the file that cannot be used.
 */
export async function readSafetensors(folder: string): Promise<SafetensorsModel> {
  const config: unknown = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8'))
  const files = (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).toSorted()
  if (files.length > 0) {
    const tensors = (await Promise.all(files.map((name) => readHeader(join(folder, name))))).flat()
    return safetensorsModel(config, { tensors })
  }
  const totalBytes = await indexedBytes(join(folder, indexName))
  return safetensorsModel(config, totalBytes === undefined ? {} : { totalBytes })
}

async function indexedBytes(path: string): Promise<number | undefined> {
  try {
    return indexSchema.parse(JSON.parse(await readFile(path, 'utf8'))).metadata?.total_size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw new Error(`${path} cannot be used: ${error instanceof Error ? error.message : error}`)
  }
}

/** The tensors of a file: its first 8 bytes are the length of the JSON that follows. */
async function readHeader(path: string): Promise<SafetensorsTensor[]> {
  const file = await open(path)
  try {
    const length = Buffer.alloc(8)
    await file.read(length, 0, 8, 0)
    const bytes = Number(length.readBigUInt64LE())
    if (bytes === 0 || bytes > largestHeaderBytes) throw new Error(`a header of ${bytes} bytes`)
    const header = Buffer.alloc(bytes)
    const { bytesRead } = await file.read(header, 0, bytes, 8)
    if (bytesRead < bytes) throw new Error('it ends within its header')
    return Object.entries(JSON.parse(header.toString('utf8')) as Record<string, unknown>)
      .filter(([name]) => name !== '__metadata__')
      .map(([name, told]) => {
        const { dtype, shape, data_offsets: offsets } = tensorSchema.parse(told)
        return { name, dtype, shape, bytes: offsets[1] - offsets[0] }
      })
  } catch (error) {
    throw new Error(`${path} is no safetensors file: ${error instanceof Error ? error.message : error}`)
  } finally {
    await file.close()
  }
}
