/** Control sequences of terminals (ECMA-48, and what xterm added). */
export const grey = '\u001b[38;5;245m'
export const bold = '\u001b[1m'
export const plain = '\u001b[0m'
export const hideCursor = '\u001b[?25l'
export const showCursor = '\u001b[?25h'
export const clearToLineEnd = '\u001b[K'
export const clearToScreenEnd = '\u001b[J'
export const clearScreen = '\u001b[2J\u001b[H'
export const startBracketedPaste = '\u001b[?2004h'
export const endBracketedPaste = '\u001b[?2004l'

export const up = (rows: number): string => (rows > 0 ? `\u001b[${rows}A` : '')
export const left = (columns: number): string => (columns > 0 ? `\u001b[${columns}D` : '')
export const right = (columns: number): string => (columns > 0 ? `\u001b[${columns}C` : '')
