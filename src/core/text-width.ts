/** Characters that terminals show two columns wide. */
const wide =
  /^[\p{Emoji_Presentation}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Script=Bopomofo}\u3000-\u303e\uff01-\uff60\uffe0-\uffe6]/u
const invisible = /^[\p{M}\p{Cf}]+$/u

/** Made when it is first wanted: its data are large, and a server draws nothing. */
let segmenter: Intl.Segmenter | undefined

/** The text's characters as a reader sees them: a letter with its accents, an emoji with its modifiers. */
export function graphemesOf(text: string): string[] {
  segmenter ??= new Intl.Segmenter(undefined, { granularity: 'grapheme' })
  return Array.from(segmenter.segment(text), ({ segment }) => segment)
}

/** Columns that a grapheme takes on a terminal: 0, 1 or 2. */
export function graphemeWidth(grapheme: string): number {
  if (wide.test(grapheme) || grapheme.includes('\ufe0f')) return 2
  return invisible.test(grapheme) ? 0 : 1
}

/** Columns that a line of text takes on a terminal. */
export function textWidth(text: string): number {
  return graphemesOf(text).reduce((sum, grapheme) => sum + graphemeWidth(grapheme), 0)
}

/** The beginning of a text that takes at most so many columns. */
export function headOf(text: string, columns: number): string {
  let head = ''
  let taken = 0
  for (const grapheme of graphemesOf(text)) {
    taken += graphemeWidth(grapheme)
    if (taken > columns) break
    head += grapheme
  }
  return head
}

/** The text in exactly so many columns: cut with an ellipsis, or filled with spaces. */
export function fitText(text: string, columns: number): string {
  const shown = textWidth(text) <= columns ? text : `${headOf(text, columns - 1)}…`
  return shown + ' '.repeat(Math.max(0, columns - textWidth(shown)))
}
