import { glob, open, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'

/** What a file is, as far as its first bytes tell. */
type Kind = 'binary' | 'zip' | 'text'

/** The weights in a folder, by what comes first: patterns, and what the files must be. */
const weights: readonly (readonly [pattern: string, kind: Kind])[] = [
  ['*.safetensors', 'binary'],
  ['pytorch_model*.bin', 'zip'],
  ['consolidated*.pth', 'zip'],
  ['*.gguf', 'binary'],
  ['*.bin', 'binary'],
]

/**
 * The files that a path of a Modelfile stands for: itself, or of a folder the weights and what describes them. Undefined
 * when there is nothing at the path. Throws for a folder without weights.
 */
export async function modelFilesAt(path: string): Promise<string[] | undefined> {
  try {
    if (!(await stat(path)).isDirectory()) return [path]
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const found = await weightsIn(path)
  const descriptions = await matching(path, '*.{json,jinja}', 'text')
  const hasTokenizer = descriptions.some((file) => basename(file) === 'tokenizer.json')
  return [
    ...found,
    ...descriptions,
    ...(hasTokenizer ? [] : await matching(path, 'tokenizer.model', 'binary')),
  ]
}

async function weightsIn(folder: string): Promise<string[]> {
  for (const [pattern, kind] of weights) {
    const files = await matching(folder, pattern, kind)
    if (files.length > 0) return files
  }
  throw new Error(`no Modelfile or safetensors files found in ${folder}`)
}

/** Files of the folder itself whose content is of the kind: the stand-in that Git LFS leaves for one is not. */
async function matching(folder: string, pattern: string, kind: Kind): Promise<string[]> {
  const files: string[] = []
  for await (const name of glob(pattern, { cwd: folder })) {
    const path = join(folder, name)
    if ((await kindOf(path)) === kind) files.push(path)
  }
  return files.sort()
}

async function kindOf(path: string): Promise<Kind> {
  const file = await open(path, 'r')
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(512), 0, 512, 0)
    const head = buffer.subarray(0, bytesRead)
    if (head.toString('latin1', 0, 4) === 'PK\u0003\u0004') return 'zip'
    // What text has none of: control characters other than those that lay it out.
    return head.some((byte) => byte < 0x09 || (byte > 0x0d && byte < 0x20 && byte !== 0x1b))
      ? 'binary'
      : 'text'
  } finally {
    await file.close()
  }
}
