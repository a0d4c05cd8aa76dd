import { randomUUID } from 'node:crypto'
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { dirname } from 'node:path'
import { type Document, isMap, isScalar, parseDocument, type YAMLMap } from 'yaml'
import { camelCase } from './sections.ts'

/** A setting as it is to stand in the file; without a value it is taken out. */
export interface Edit {
  /** `keepAlive`, `multi_gpu.tensor_parallel.size`. */
  key: string
  value?: unknown
}

/**
 * The text of a configuration file with settings changed; comments, order and everything else stay. Throws where the
 * text is not YAML.
 */
export function editedFile(text: string, edits: readonly Edit[]): string {
  const document = parseDocument(text)
  const [error] = document.errors
  if (error) throw error
  for (const { key, value } of edits) {
    const path = writtenPath(document, key)
    if (value !== undefined) document.setIn(path, value)
    else if (document.hasIn(path)) takeOut(document, path)
  }
  const edited = document.toString({ lineWidth: 0 })
  return document.contents === null ? edited.replace(/\s*(null)?\s*$/, '\n') : edited
}

/** Without the setting, and without sections that it leaves empty; what stands at the top of the file stays. */
function takeOut(document: Document, path: readonly string[]): void {
  const head = headOf(document)
  document.deleteIn(path)
  const section = path.slice(0, -1)
  const left = section.length > 0 ? document.getIn(section) : document.contents
  if (isMap(left) && left.items.length === 0) {
    if (section.length > 0) takeOut(document, section)
    else document.contents = null
  }
  if (head === undefined || headOf(document) === head) return
  const first = isMap(document.contents) ? document.contents.items[0]?.key : undefined
  if (isScalar(first)) first.commentBefore = [head, first.commentBefore].filter(Boolean).join('\n')
  else document.commentBefore = [document.commentBefore, head].filter(Boolean).join('\n')
}

/** The comment that stands right above the first setting. */
function headOf({ contents }: Document): string | undefined {
  const first = isMap(contents) ? contents.items[0]?.key : undefined
  const comment = isScalar(first) ? first.commentBefore : undefined
  return comment ?? (isMap(contents) ? contents.commentBefore : undefined) ?? undefined
}

/** The way to a setting, each part as the file has it already (`multiGpu` or `multi_gpu`). */
function writtenPath(document: Document, key: string): string[] {
  let place: unknown = document.contents
  return key.split('.').map((part) => {
    const pair = isMap(place) ? pairOf(place, part) : undefined
    place = pair?.value
    return pair && isScalar(pair.key) ? String(pair.key.value) : part
  })
}

function pairOf(map: YAMLMap, part: string) {
  return map.items.find(({ key }) => isScalar(key) && camelCase(String(key.value)) === camelCase(part))
}

/** Writes a file whole or not at all, where a link leads; its rights stay, and its folder is made. */
export function replaceFile(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true })
  const { target, mode } = existing(path)
  const draft = `${target}.${randomUUID().slice(0, 8)}.tmp`
  try {
    const file = openSync(draft, 'wx', mode)
    try {
      writeSync(file, text)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    renameSync(draft, target)
  } catch (error) {
    rmSync(draft, { force: true })
    throw error
  }
}

function existing(path: string): { target: string; mode: number } {
  try {
    const target = realpathSync(path)
    return { target, mode: statSync(target).mode & 0o777 }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { target: path, mode: 0o644 }
    throw error
  }
}
