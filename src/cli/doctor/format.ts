import { bold, grey, plain } from '../terminal/codes.ts'
import { countLevels } from './checks.ts'
import type { Finding, Level } from './contract.ts'
import { counted } from './naming.ts'

export interface Paper {
  columns: number
  colours: boolean
}

const headings: Readonly<Record<Level, string>> = {
  error: 'ERROR',
  warning: 'WARNING',
  note: 'NOTE',
  ok: 'OK',
}
const colours: Readonly<Record<Level, string>> = {
  error: '\u001b[31m',
  warning: '\u001b[33m',
  note: '\u001b[36m',
  ok: '\u001b[32m',
}

/** Wider than this lines are hard to read. */
const widest = 100
/** Room for the longest heading and a space. */
const margin = 9

/** What the doctor has to say: each finding with its cure, the worst first, then what is well, then the sum. */
export function formatFindings(findings: readonly Finding[], { columns, colours: coloured }: Paper): string {
  const paint = (text: string, code: string) => (coloured ? `${code}${text}${plain}` : text)
  const width = Math.max(40, Math.min(columns, widest))
  const blocks = findings
    .filter(({ level }) => level !== 'ok')
    .map((finding) => `${findingLines(finding, width, paint).join('\n')}\n`)
  const well = findings
    .filter(({ level }) => level === 'ok')
    .flatMap(({ title }) => hung(headed('ok', paint), wrap(title, width - margin)))
  return [...blocks, ...(well.length > 0 ? [`${well.join('\n')}\n`] : []), `${sumOf(findings)}\n`].join('\n')
}

type Paint = (text: string, code: string) => string

function findingLines(
  { level, title, detail, advice, command }: Finding,
  width: number,
  paint: Paint,
): string[] {
  const room = width - margin
  const commands = (command ?? '').split('\n').filter(Boolean)
  return [
    ...hung(
      headed(level, paint),
      wrap(title, room).map((line) => paint(line, bold)),
    ),
    ...wrap(detail, room).map(indented),
    ...wrap(advice ?? '', room).map(indented),
    ...commands.map((line) => indented(line.startsWith('#') ? paint(`  ${line}`, grey) : `  ${line}`)),
  ]
}

function headed(level: Level, paint: Paint): string {
  return paint(headings[level].padEnd(margin - 1), colours[level])
}

function hung(heading: string, lines: readonly string[]): string[] {
  return lines.map((line, at) => (at === 0 ? `${heading} ${line}` : indented(line)))
}

function indented(line: string): string {
  return `${' '.repeat(margin)}${line}`
}

/** Lines of at most `width` characters; a longer word stands alone. Line breaks of the text stay. */
export function wrap(text: string, width: number): string[] {
  if (text === '') return []
  return text.split('\n').flatMap((paragraph) => {
    const lines: string[] = []
    let line = ''
    // A number stays with its unit.
    for (const word of paragraph.trim().split(/\s+(?![GM]iB\b)/)) {
      if (line !== '' && line.length + 1 + word.length > width) {
        lines.push(line)
        line = word
      } else {
        line = line === '' ? word : `${line} ${word}`
      }
    }
    return [...lines, line]
  })
}

/** `All well`, `2 errors, 1 warning`, `All well (1 note)`. */
export function sumOf(findings: readonly Finding[]): string {
  const { error, warning, note } = countLevels(findings)
  const notes = note > 0 ? ` (${counted(note, 'note')})` : ''
  if (error + warning === 0) return `All well${notes}`
  const parts = [error > 0 ? counted(error, 'error') : '', warning > 0 ? counted(warning, 'warning') : '']
  return `${parts.filter(Boolean).join(', ')}${notes}`
}
