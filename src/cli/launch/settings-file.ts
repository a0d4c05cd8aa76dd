import { copyFile, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

type Settings = Record<string, unknown>

const backupOf = (path: string) => `${path}.before-drover`

/**
 * Changes a JSON file of another program; what it was before its first change is kept beside it. Throws, having changed
 * nothing, when the file is no JSON object.
 */
export async function editSettings(path: string, edit: (settings: Settings) => Settings): Promise<void> {
  const text = await readText(path)
  const settings = parse(text ?? '{}', path)
  await mkdir(dirname(path), { recursive: true })
  if ((await readText(backupOf(path))) === undefined) await writeFile(backupOf(path), text ?? '{}\n')
  const unfinished = `${path}.tmp`
  await writeFile(unfinished, `${JSON.stringify(edit(settings), undefined, 2)}\n`)
  await rename(unfinished, path)
}

/** Makes the file what it was before. False when it never was changed. */
export async function restoreSettings(path: string): Promise<boolean> {
  if ((await readText(backupOf(path))) === undefined) return false
  await copyFile(backupOf(path), path)
  await rm(backupOf(path))
  return true
}

function parse(text: string, path: string): Settings {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch (error) {
    throw new Error(`failed to parse ${path}: mend it or move it away, and try again`, { cause: error })
  }
  throw new Error(`${path} holds no JSON object: mend it or move it away, and try again`)
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}
