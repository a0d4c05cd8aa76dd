import { clearToLineEnd, left } from '../terminal/codes.ts'
import { graphemesOf, graphemeWidth } from '../terminal/width.ts'

/** Columns kept free at the right, as Ollama does. */
const margin = 5
/** A terminal narrower than this wraps by itself. */
const minColumns = 10

/**
 * Passes streamed text on and breaks its lines between words. A word begins before its end is known: one that turns
 * out too long for the line is taken back and begun again on the next.
 */
export function createWordWrap(columns: number): (text: string) => string {
  if (columns < minColumns) return (text) => text
  const lineWidth = columns - margin
  let column = 0
  let word = { text: '', width: 0 }
  const startWord = () => {
    word = { text: '', width: 0 }
  }
  const step = (grapheme: string): string => {
    if (grapheme === '\n' || grapheme === '\r\n') {
      column = 0
      startWord()
      return grapheme
    }
    const width = graphemeWidth(grapheme)
    if (column + width <= lineWidth) {
      column += width
      // Text of wide characters may be broken anywhere.
      if (grapheme === ' ' || width === 2) startWord()
      else word = { text: word.text + grapheme, width: word.width + width }
      return grapheme
    }
    if (grapheme === ' ') {
      column = 0
      startWord()
      return '\n'
    }
    column = width
    // A word as long as the line goes on where it is.
    if (word.width + width > lineWidth || word.width === 0) {
      word = { text: grapheme, width }
      return `\n${grapheme}`
    }
    const moved = `${left(word.width)}${clearToLineEnd}\n${word.text}${grapheme}`
    column += word.width
    word = { text: word.text + grapheme, width: word.width + width }
    return moved
  }
  return (text) => graphemesOf(text).map(step).join('')
}
