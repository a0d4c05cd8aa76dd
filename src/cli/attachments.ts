import { readFile, stat } from 'node:fs/promises'

/** Files whose paths stand in a prompt, taken out of it. */
export interface Attached {
  text: string
  /** In Base64. */
  images: string[]
}

/** A path that begins with a slash, `./`, a backslash or a drive and ends in a known extension; spaces may be in it. */
const pathPattern = /(?:[a-zA-Z]:)?(?:\.\/|\/|\\)[\S\\ ]+?\.(?:jpg|jpeg|png|webp|wav)\b/gi

/** What a shell or a terminal puts before characters of a dropped file's name. */
const escaped = /'\\''|\\([ ()[\]{}$&;'\\*?~])/g

const maxFileBytes = 100 * 1024 * 1024

/** What looks like the path of an image or a recording. */
export function attachmentPaths(text: string): string[] {
  return text.match(pathPattern) ?? []
}

/**
 * Takes the files that a prompt names out of it, telling of each. A path where there is no file stays what it is. Throws
 * for a file that is no image or recording, or that is too big.
 */
export async function attachFiles(text: string, tell: (line: string) => void): Promise<Attached> {
  let rest = text
  const images: string[] = []
  for (const written of attachmentPaths(text)) {
    const path = written.replaceAll(escaped, (_, character?: string) => character ?? "'")
    const data = await readAttachment(path)
    if (!data) continue
    tell(`Added image '${path}'`)
    rest = [`'${path}'`, `'${written}'`, written].reduce((left, part) => left.replaceAll(part, ''), rest)
    images.push(data.toString('base64'))
  }
  return { text: rest.trim(), images }
}

async function readAttachment(path: string): Promise<Buffer | undefined> {
  try {
    const { size } = await stat(path)
    if (size > maxFileBytes) throw new Error(`${path}: file size exceeds maximum limit (100MB)`)
    const data = await readFile(path)
    if (!isKnownFormat(data)) throw new Error(`${path}: invalid image type: neither JPEG, PNG, WebP nor WAV`)
    return data
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function isKnownFormat(data: Buffer): boolean {
  const riff = data.toString('latin1', 0, 4) === 'RIFF' ? data.toString('latin1', 8, 12) : ''
  return (
    data.toString('hex', 0, 3) === 'ffd8ff' ||
    data.toString('hex', 0, 8) === '89504e470d0a1a0a' ||
    riff === 'WEBP' ||
    riff === 'WAVE'
  )
}
