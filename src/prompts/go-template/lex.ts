import { describeRune, quote } from './literals.ts'

const keywords = [
  'block',
  'break',
  'continue',
  'define',
  'else',
  'end',
  'if',
  'nil',
  'range',
  'template',
  'with',
] as const

export type Keyword = (typeof keywords)[number]

export type TokenType =
  | Keyword
  | 'assign'
  | 'bool'
  | 'char'
  | 'charConstant'
  | 'complex'
  | 'declare'
  | 'dot'
  | 'eof'
  | 'error'
  | 'field'
  | 'identifier'
  | 'leftDelim'
  | 'leftParen'
  | 'number'
  | 'pipe'
  | 'rawString'
  | 'rightDelim'
  | 'rightParen'
  | 'space'
  | 'string'
  | 'text'
  | 'variable'

/** One piece of a template's source. `pos` counts UTF-16 units, `line` from 1. */
export interface Token {
  type: TokenType
  /** The source text, or the complaint of an `error`. */
  text: string
  pos: number
  line: number
}

const keywordTypes = new Map<string, TokenType>(keywords.map((word) => [word, word]))

/** How Go's errors name a token. */
export function describeToken(token: Token): string {
  if (token.type === 'eof') return 'EOF'
  if (token.type === 'error') return token.text
  if (token.type === 'dot' || keywordTypes.has(token.type)) return `<${token.text}>`
  const runes = token.text.length > 10 ? [...token.text.slice(0, 20)] : []
  return runes.length > 10 ? `${quote(runes.slice(0, 10).join(''))}...` : quote(token.text)
}

export function isSpace(char: string | undefined): boolean {
  return char === ' ' || char === '\t' || char === '\n' || char === '\r'
}

const words = /[\p{L}\p{Nd}_]+/uy
const tokensOfOneChar = new Map<string, TokenType>([
  ['=', 'assign'],
  ['|', 'pipe'],
])

/**
 * Splits a template into tokens; the last is `eof`, or `error` where the source cannot go on. Rules and wording
 * are those of Go's `text/template/parse`: trimming is done here, the parser never sees it.
 */
export function lex(source: string): Token[] {
  const lexer = new Lexer(source)
  lexer.run()
  return lexer.tokens
}

class Lexer {
  readonly tokens: Token[] = []
  private readonly source: string
  private pos = 0
  private parenDepth = 0
  private line = 1
  private nextNewline: number

  constructor(source: string) {
    this.source = source
    this.nextNewline = newlineAfter(source, -1)
  }

  run(): void {
    let state: 'text' | 'action' | 'over' = 'text'
    while (state !== 'over') state = state === 'text' ? this.text() : this.action()
  }

  private emit(type: TokenType, start: number, end: number): void {
    this.tokens.push({ type, text: this.source.slice(start, end), pos: start, line: this.lineAt(start) })
    this.pos = end
  }

  private fail(start: number, complaint: string): 'over' {
    this.tokens.push({ type: 'error', text: complaint, pos: start, line: this.lineAt(start) })
    return 'over'
  }

  /** Tokens come in order, so each newline is looked for once. */
  private lineAt(pos: number): number {
    while (this.nextNewline < pos) {
      this.line++
      this.nextNewline = newlineAfter(this.source, this.nextNewline)
    }
    return this.line
  }

  private text(): 'text' | 'action' | 'over' {
    const { source, pos } = this
    const open = source.indexOf('{{', pos)
    if (open < 0) {
      if (pos < source.length) this.emit('text', pos, source.length)
      this.emit('eof', source.length, source.length)
      return 'over'
    }
    const trims = source[open + 2] === '-' && isSpace(source[open + 3])
    let end = open
    if (trims) while (end > pos && isSpace(source[end - 1])) end--
    if (end > pos) this.emit('text', pos, end)
    const inside = trims ? open + 4 : open + 2
    if (source.startsWith('/*', inside)) return this.comment(inside)
    this.emit('leftDelim', open, open + 2)
    this.pos = inside
    this.parenDepth = 0
    return 'action'
  }

  private comment(start: number): 'text' | 'over' {
    const close = this.source.indexOf('*/', start + 2)
    if (close < 0) return this.fail(start, 'unclosed comment')
    this.pos = close + 2
    const delimiter = this.rightDelimiter()
    if (delimiter === 0) return this.fail(start, 'comment ends before closing delimiter')
    this.leaveAction(delimiter)
    return 'text'
  }

  /** Length of the right delimiter here: 2, 4 with its trim marker, 0 where there is none. */
  private rightDelimiter(): 0 | 2 | 4 {
    const { source, pos } = this
    if (isSpace(source[pos]) && source[pos + 1] === '-' && source.startsWith('}}', pos + 2)) return 4
    return source.startsWith('}}', pos) ? 2 : 0
  }

  private leaveAction(delimiter: 2 | 4): void {
    this.pos += delimiter
    if (delimiter === 4) while (isSpace(this.source[this.pos])) this.pos++
  }

  private action(): 'text' | 'action' | 'over' {
    const { source, pos } = this
    const delimiter = this.rightDelimiter()
    if (delimiter !== 0) {
      if (this.parenDepth > 0) return this.fail(pos, 'unclosed left paren')
      this.emit('rightDelim', pos + delimiter - 2, pos + delimiter)
      this.pos = pos
      this.leaveAction(delimiter)
      return 'text'
    }
    const char = source[pos]
    if (char === undefined) return this.fail(pos, 'unclosed action')
    if (isSpace(char)) return this.space()
    if (char === '"' || char === '`' || char === "'") return this.quoted(char)
    if (char === '$') return this.name('variable')
    if (char === '.' && pos + 1 < source.length && !isDigit(source[pos + 1])) return this.name('field')
    if (char === '.' || char === '+' || char === '-' || isDigit(char)) return this.number()
    return this.symbol(char)
  }

  private space(): 'action' {
    let end = this.pos
    while (isSpace(this.source[end])) end++
    // The last space may belong to a trim marker.
    if (this.source.startsWith('-}}', end)) end--
    this.emit('space', this.pos, end)
    return 'action'
  }

  private symbol(char: string): 'action' | 'over' {
    const { pos } = this
    const type = tokensOfOneChar.get(char)
    if (type !== undefined) {
      this.emit(type, pos, pos + 1)
      return 'action'
    }
    if (char === ':') {
      if (this.source[pos + 1] !== '=') return this.fail(pos, 'expected :=')
      this.emit('declare', pos, pos + 2)
      return 'action'
    }
    if (char === '(' || char === ')') return this.parenthesis(char)
    const end = this.wordEnd(pos)
    if (end > pos) return this.word(end)
    if (char > ' ' && char < '\x7f') {
      this.emit('char', pos, pos + 1)
      return 'action'
    }
    return this.fail(pos, `unrecognized character in action: ${describeRune(this.source, pos)}`)
  }

  private parenthesis(char: '(' | ')'): 'action' | 'over' {
    this.parenDepth += char === '(' ? 1 : -1
    if (this.parenDepth < 0) return this.fail(this.pos, 'unexpected right paren')
    this.emit(char === '(' ? 'leftParen' : 'rightParen', this.pos, this.pos + 1)
    return 'action'
  }

  private wordEnd(start: number): number {
    words.lastIndex = start
    return words.test(this.source) ? words.lastIndex : start
  }

  /** An identifier must be followed by something that can follow one: `$x+2` is not a sum. */
  private terminated(end: number): boolean {
    const char = this.source[end]
    return char === undefined || isSpace(char) || '.,|:()'.includes(char) || this.source.startsWith('}}', end)
  }

  private word(end: number): 'action' | 'over' {
    if (!this.terminated(end)) {
      return this.fail(this.pos, `bad character ${describeRune(this.source, end)}`)
    }
    const word = this.source.slice(this.pos, end)
    const isBool = word === 'true' || word === 'false'
    this.emit(keywordTypes.get(word) ?? (isBool ? 'bool' : 'identifier'), this.pos, end)
    return 'action'
  }

  private name(type: 'field' | 'variable'): 'action' | 'over' {
    const start = this.pos + 1
    if (this.terminated(start)) {
      this.emit(type === 'variable' ? 'variable' : 'dot', this.pos, start)
      return 'action'
    }
    const end = this.wordEnd(start)
    if (!this.terminated(end)) {
      return this.fail(this.pos, `bad character ${describeRune(this.source, end)}`)
    }
    this.emit(type, this.pos, end)
    return 'action'
  }

  private quoted(delimiter: string): 'action' | 'over' {
    const { source, pos } = this
    const raw = delimiter === '`'
    let end = pos + 1
    while (source[end] !== delimiter) {
      if (!raw && source[end] === '\\') end++
      const char = source[end]
      if (char === undefined || (char === '\n' && !raw)) return this.fail(pos, unterminated[delimiter] ?? '')
      end++
    }
    this.emit(raw ? 'rawString' : delimiter === '"' ? 'string' : 'charConstant', pos, end + 1)
    return 'action'
  }

  private number(): 'action' | 'over' {
    const { source, pos } = this
    let scan = scanNumber(source, pos)
    let type: TokenType = 'number'
    if (scan.good && (source[scan.end] === '+' || source[scan.end] === '-')) {
      type = 'complex'
      scan = scanNumber(source, scan.end)
      if (source[scan.end - 1] !== 'i') scan.good = false
    }
    if (!scan.good) return this.fail(pos, `bad number syntax: ${quote(source.slice(pos, scan.end))}`)
    this.emit(type, pos, scan.end)
    return 'action'
  }
}

const unterminated: Record<string, string> = {
  '"': 'unterminated quoted string',
  '`': 'unterminated raw quoted string',
  "'": 'unterminated character constant',
}

function newlineAfter(source: string, pos: number): number {
  const newline = source.indexOf('\n', pos + 1)
  return newline < 0 ? Number.POSITIVE_INFINITY : newline
}

function isDigit(char: string | undefined): boolean {
  return char !== undefined && char >= '0' && char <= '9'
}

const numbers =
  /[+-]?(?:0[xX][\da-fA-F_]*(?:\.[\da-fA-F_]*)?(?:[pP][+-]?[\d_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?|[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?[\d_]*)?)i?/y
const wordChar = /[\p{L}\p{Nd}_]/uy

/** Loose on purpose: what is wrong but looks like a number is refused when it is parsed. */
function scanNumber(source: string, start: number): { end: number; good: boolean } {
  numbers.lastIndex = start
  const length = numbers.exec(source)?.[0].length ?? 0
  wordChar.lastIndex = start + length
  if (!wordChar.test(source)) return { end: start + length, good: true }
  return { end: wordChar.lastIndex, good: false }
}
