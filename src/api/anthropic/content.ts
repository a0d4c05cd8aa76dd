import { DroverError } from '../../inference/index.ts'
import { DecodeError, decodeBase64 } from '../go-json/index.ts'

export const refuse = (message: string) => new DroverError('invalid_request', message)

/** What a model reads of some content: its words, and its images in order. */
export interface Parts {
  text: string
  images: Uint8Array[]
}

/** The members of a block, whether it was decoded by a schema or not. */
type Block = { readonly [member: string]: unknown }

const isBlock = (value: unknown): value is Block =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A member that should be a text; anything else is none. */
export const word = (value: unknown) => (typeof value === 'string' ? value.toWellFormed() : '')

/** Content that is a text or blocks, as in a tool's result. Kinds that nothing can read are passed over. */
export function partsOf(content: unknown, missingSource: string): Parts {
  if (typeof content === 'string') return { text: word(content), images: [] }
  const parts: Parts = { text: '', images: [] }
  for (const block of blocksOf(content)) addBlock(parts, block, missingSource)
  return parts
}

/** The objects of an array of blocks. */
export const blocksOf = (content: unknown): Block[] =>
  Array.isArray(content) ? content.filter((item) => isBlock(item)) : []

/** Adds what a block of text, an image, a document or a search result says. */
export function addBlock(parts: Parts, block: Block, missingSource: string): void {
  if (block.type === 'text') {
    parts.text += word(block.text)
  } else if (block.type === 'image') {
    parts.images.push(decodeImage(block.source, missingSource))
  } else if (block.type === 'document') {
    addTitled(parts, block.title, documentParts(block.source))
  } else if (block.type === 'search_result') {
    addTitled(parts, block.title, partsOf(block.content, missingSource))
  }
}

/** Words of another's, under their title and apart from what comes after them. */
function addTitled(parts: Parts, title: unknown, { text, images }: Parts): void {
  const heading = word(title)
  parts.text += `${heading === '' ? '' : `${heading}\n`}${text}\n\n`
  parts.images.push(...images)
}

function decodeImage(source: unknown, missingSource: string): Uint8Array {
  if (!isBlock(source)) throw refuse(missingSource)
  if (source.type !== 'base64') {
    throw refuse(`invalid image source type: ${word(source.type)}. Only base64 images are supported.`)
  }
  try {
    return decodeBase64(word(source.data))
  } catch (thrown) {
    if (thrown instanceof DecodeError) throw refuse(`invalid base64 image data: ${thrown.message}`)
    throw thrown
  }
}

/** A document that is text. One that would have to be read first (a PDF) is refused: silence would mislead. */
function documentParts(source: unknown): Parts {
  const { type, data, content } = isBlock(source) ? source : {}
  if (type === 'text') return { text: word(data), images: [] }
  if (type === 'content') return partsOf(content, 'invalid image source')
  throw refuse(
    `invalid document source type: ${word(type)}. Only documents of type text and content are supported; ` +
      'send the text of the document.',
  )
}
