import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import type { BatchEndpoint, InputError } from './contract.ts'
import type { LineRef } from './ledger.ts'

/** Limits of an input file, those of OpenAI's own Batch API. */
export interface InputLimits {
  maxLines: number
  /** Of one line. */
  maxLineBytes: number
}

/** Mistakes that are told of one file; the rest would say the same. */
const mostErrors = 50

const newline = 10

interface RawLine {
  /** From 1. */
  number: number
  at: number
  bytes: number
  /** Undefined where it is longer than may be read. */
  text: string | undefined
}

/** The lines of a file that hold anything. No more than one of them is in memory. */
async function* readLines(path: string, maxLineBytes: number): AsyncGenerator<RawLine> {
  let number = 1
  let at = 0
  let bytes = 0
  let parts: Buffer[] = []
  const take = (): RawLine => {
    const text =
      bytes > maxLineBytes
        ? undefined
        : Buffer.concat(parts)
            .toString('utf8')
            .replace(/^\uFEFF/, '')
    return { number, at, bytes, text }
  }
  const isBlank = (line: RawLine) => line.text !== undefined && line.text.trim() === ''
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    for (let start = 0; start < chunk.length; ) {
      const end = chunk.indexOf(newline, start)
      const part = chunk.subarray(start, end < 0 ? chunk.length : end)
      bytes += part.length
      // What is too long is only counted.
      if (bytes <= maxLineBytes) parts.push(part)
      start += part.length + 1
      if (end < 0) continue
      const line = take()
      if (!isBlank(line)) yield line
      at += bytes + 1
      bytes = 0
      parts = []
      number++
    }
  }
  const last = take()
  if (bytes > 0 && !isBlank(last)) yield last
}

/** What an input file asks, or what is wrong with it. */
export interface CheckedInput {
  errors: InputError[]
  total: number
  /** Of the first line. */
  model: string | undefined
}

/** Lines that are kept at once, so that a large file holds nothing up. */
const linesAtOnce = 500

/**
 * Reads a whole input file and hands its lines to `keep`, so many at a time. Every line has to be a request for the
 * batch's endpoint with an id of its own; whether its body makes sense is seen when it is asked.
 */
export async function checkInput(
  path: string,
  endpoint: BatchEndpoint,
  { maxLines, maxLineBytes }: InputLimits,
  keep: (lines: readonly LineRef[]) => void,
  signal: AbortSignal,
): Promise<CheckedInput> {
  const errors: InputError[] = []
  const seen = new Set<string>()
  let total = 0
  let model: string | undefined
  let lines: LineRef[] = []
  for await (const { number, at, bytes, text } of readLines(path, maxLineBytes)) {
    signal.throwIfAborted()
    total++
    if (total > maxLines) {
      errors.push({ code: 'too_many_tasks', message: `the file has more than ${maxLines} requests` })
      break
    }
    const checked = text === undefined ? tooLong(bytes, maxLineBytes) : checkLine(text, endpoint)
    if ('code' in checked) errors.push({ ...checked, line: number })
    else if (seen.has(checked.customId)) errors.push({ ...duplicate(checked.customId), line: number })
    else {
      seen.add(checked.customId)
      model ??= checked.model
      lines.push({ line: number, customId: checked.customId, at, bytes })
    }
    if (errors.length >= mostErrors) break
    if (lines.length >= linesAtOnce) {
      keep(lines)
      lines = []
    }
  }
  if (total === 0) errors.push({ code: 'empty_file', message: 'the file has no requests' })
  if (errors.length === 0) keep(lines)
  return { errors, total, model }
}

/** A line of an input file whose form is right. */
export interface BatchLine {
  customId: string
  body: Record<string, unknown>
  model: string | undefined
}

/** Reads one line, or says what is wrong with it. */
export function checkLine(text: string, endpoint: BatchEndpoint): BatchLine | InputError {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    return { code: 'invalid_json_line', message: `the line is no JSON: ${reason}` }
  }
  if (!isObject(value)) return { code: 'invalid_json_line', message: 'the line is no JSON object' }
  const { custom_id: customId, method, url, body } = value
  if (typeof customId !== 'string' || customId === '') return missing('custom_id', 'a text')
  if (method !== 'POST') {
    return {
      code: 'invalid_method',
      message: `method is ${shown(method)}, and has to be "POST"`,
      param: 'method',
    }
  }
  if (url !== endpoint) {
    const message = `url is ${shown(url)}, and the batch is for ${shown(endpoint)}`
    return { code: 'url_mismatch', message, param: 'url' }
  }
  if (!isObject(body)) return missing('body', 'an object')
  return { customId, body, model: typeof body['model'] === 'string' ? body['model'] : undefined }
}

/** One line's text. */
export async function readLine(path: string, { at, bytes }: Pick<LineRef, 'at' | 'bytes'>): Promise<string> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(bytes), 0, bytes, at)
  if (bytesRead < bytes) throw new Error(`${path} is shorter than it was`)
  return buffer.toString('utf8').replace(/^\uFEFF/, '')
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const missing = (param: string, what: string): InputError => ({
  code: 'missing_required_parameter',
  message: `${param} has to be ${what}`,
  param,
})

const duplicate = (customId: string): InputError => ({
  code: 'duplicate_custom_id',
  message: `another line has the custom_id ${shown(customId)} already`,
  param: 'custom_id',
})

const tooLong = (bytes: number, maxBytes: number): InputError => ({
  code: 'line_too_long',
  message: `the line has ${bytes} bytes, and ${maxBytes} are the most`,
})

/** A value of a stranger's in a message, not at any length. */
function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'missing'
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}
