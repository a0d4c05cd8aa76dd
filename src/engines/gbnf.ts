import { DroverError } from '../inference/index.ts'

/** A part of a GBNF rule, the grammar notation of llama.cpp (its `grammars/README.md`). */
export type GrammarNode =
  /** One character of these ranges of code points, or of none of them. */
  | { kind: 'character'; negated: boolean; ranges: readonly (readonly [first: number, last: number])[] }
  | { kind: 'rule'; name: string }
  | { kind: 'group'; alternatives: GrammarAlternatives }
  | { kind: 'repeat'; node: GrammarNode; least: number; most: number }

/** What stands between two bars, one after the other. */
export type GrammarSequence = readonly GrammarNode[]
export type GrammarAlternatives = readonly GrammarSequence[]
export type Grammar = ReadonlyMap<string, GrammarAlternatives>

/** Above this llama.cpp takes a bound for none (`MAX_REPETITION_THRESHOLD`). */
const highestBound = 2_000
const lastCodePoint = 0x10ffff
const escapes: Record<string, string> = {
  t: '\t',
  r: '\r',
  n: '\n',
  '\\': '\\',
  '"': '"',
  '[': '[',
  ']': ']',
  '-': '-',
}
const hexDigits: Record<string, number> = { x: 2, u: 4, U: 8 }

/** Reads a grammar. Throws `invalid_format` for what is no GBNF, and for elements that name tokens. */
export function parseGrammar(text: string): Grammar {
  const rules = new Map<string, GrammarAlternatives>()
  let at = 0
  skip(true)
  while (at < text.length) {
    const name = take(/[\w-]+/y) ?? fail('a rule name')
    skip(false)
    take(/::=/y) ?? fail('"::="')
    skip(true)
    rules.set(name, alternatives(false))
    if (at < text.length && !/[\r\n]/.test(text[at] ?? '')) fail('the end of the line')
    skip(true)
  }
  for (const name of ['root', ...namesIn([...rules.values()])]) {
    if (!rules.has(name)) throw unreadable(`the rule "${name}" is missing`)
  }
  return rules

  function alternatives(nested: boolean): GrammarSequence[] {
    const found = [sequence(nested)]
    while (take(/\|/y)) {
      skip(true)
      found.push(sequence(nested))
    }
    return found
  }

  function sequence(nested: boolean): GrammarNode[] {
    const nodes: GrammarNode[] = []
    for (let nextNode = node(nested); nextNode; nextNode = node(nested)) {
      skip(nested)
      const repeated = repetitions(nextNode, nested)
      const inline = repeated.kind === 'group' && repeated.alternatives.length === 1
      nodes.push(...(inline ? (repeated.alternatives[0] ?? []) : [repeated]))
    }
    return nodes
  }

  function repetitions(node: GrammarNode, nested: boolean): GrammarNode {
    let repeated = node
    for (;;) {
      const bounds = take(/[*+?]|\{\s*\d+\s*(?:,\s*\d*\s*)?\}/y)
      if (!bounds) return repeated
      const [least = '', most] = bounds.replace(/[{}\s]/g, '').split(',')
      if (bounds === '*') repeated = repeat(repeated, 0, Number.POSITIVE_INFINITY)
      else if (bounds === '+') repeated = repeat(repeated, 1, Number.POSITIVE_INFINITY)
      else if (bounds === '?') repeated = repeat(repeated, 0, 1)
      else repeated = repeat(repeated, Number(least), Number(most === undefined ? least : most || Infinity))
      skip(nested)
    }
  }

  function node(nested: boolean): GrammarNode | undefined {
    if (take(/"/y)) return literal()
    if (take(/\[/y)) return characterClass()
    if (take(/\./y)) return { kind: 'character', negated: true, ranges: [] }
    if (take(/\(/y)) {
      skip(true)
      const group: GrammarNode = { kind: 'group', alternatives: alternatives(true) }
      take(/\)/y) ?? fail('")"')
      return group
    }
    const name = take(/[\w-]+/y)
    if (name) return { kind: 'rule', name }
    if (/[<!]/.test(text[at] ?? '')) throw unreadable('elements that name tokens are not supported')
    if (nested && at >= text.length) fail('")"')
    return undefined
  }

  function literal(): GrammarNode {
    const characters: GrammarNode[] = []
    while (!take(/"/y)) {
      const point = codePoint()
      characters.push({ kind: 'character', negated: false, ranges: [[point, point]] })
    }
    return { kind: 'group', alternatives: [characters] }
  }

  function characterClass(): GrammarNode {
    const negated = take(/\^/y) !== undefined
    const ranges: [number, number][] = []
    while (!take(/\]/y)) {
      const first = codePoint()
      ranges.push([first, take(/-(?!\])/y) ? codePoint() : first])
    }
    return { kind: 'character', negated, ranges }
  }

  function codePoint(): number {
    const point = text.codePointAt(at) ?? fail('more text')
    at += point > 0xffff ? 2 : 1
    if (point !== 0x5c) return point
    const letter = text[at++] ?? ''
    const plain = escapes[letter]
    if (plain) return plain.charCodeAt(0)
    const length = hexDigits[letter] ?? fail('an escape')
    const digits = text.slice(at, at + length)
    if (digits.length < length || !/^[0-9a-fA-F]+$/.test(digits)) fail(`${length} hexadecimal digits`)
    at += length
    return Number.parseInt(digits, 16)
  }

  /** What a sticky expression matches here. */
  function take(pattern: RegExp): string | undefined {
    pattern.lastIndex = at
    const [match] = pattern.exec(text) ?? []
    at += match?.length ?? 0
    return match
  }

  /** Blanks and comments; line ends only where a rule cannot end. */
  function skip(lines: boolean): void {
    take(lines ? /(?:\s|#.*)*/y : /[ \t]*(?:#.*)?/y)
  }

  function fail(expected: string): never {
    throw unreadable(`${expected} is expected before ${JSON.stringify(text.slice(at, at + 20))}`)
  }
}

/** The grammar as text; `nameOf` gives rules other names. */
export function printGrammar(grammar: Grammar, nameOf: (name: string) => string): string {
  return [...grammar]
    .map(([name, rule]) => `${nameOf(name)} ::= ${printAlternatives(rule, nameOf)}\n`)
    .join('')
}

export function printAlternatives(
  alternatives: GrammarAlternatives,
  nameOf: (name: string) => string,
): string {
  return alternatives.map((nodes) => nodes.map(print).join(' ') || '""').join(' | ')

  function print(node: GrammarNode): string {
    switch (node.kind) {
      case 'character':
        return printClass(node.negated, node.ranges)
      case 'rule':
        return nameOf(node.name)
      case 'group':
        return `( ${printAlternatives(node.alternatives, nameOf)} )`
      case 'repeat': {
        const { least, most } = node
        const body = node.node.kind === 'repeat' ? `( ${print(node.node)} )` : print(node.node)
        return `${body}{${least},${most === Number.POSITIVE_INFINITY ? '' : most}}`
      }
    }
  }
}

function repeat(node: GrammarNode, least: number, most: number): GrammarNode {
  if (least > highestBound) throw unreadable(`${least} repetitions are too many`)
  return { kind: 'repeat', node, least, most: most > highestBound ? Number.POSITIVE_INFINITY : most }
}

function printClass(negated: boolean, ranges: readonly (readonly [number, number])[]): string {
  if (ranges.length === 0) return '.'
  const members = ranges.map(([first, last]) =>
    first === last ? printPoint(first) : `${printPoint(first)}-${printPoint(last)}`,
  )
  return `[${negated ? '^' : ''}${members.join('')}]`
}

function printPoint(point: number): string {
  const letter = String.fromCodePoint(Math.min(point, lastCodePoint))
  return /[a-zA-Z0-9]/.test(letter) ? letter : `\\U${point.toString(16).padStart(8, '0')}`
}

function namesIn(rules: readonly GrammarAlternatives[]): Set<string> {
  const names = new Set<string>()
  const visit = (node: GrammarNode): void => {
    if (node.kind === 'rule') names.add(node.name)
    else if (node.kind === 'repeat') visit(node.node)
    else if (node.kind === 'group') for (const nodes of node.alternatives) nodes.forEach(visit)
  }
  for (const rule of rules) for (const nodes of rule) nodes.forEach(visit)
  return names
}

function unreadable(reason: string): DroverError {
  return new DroverError('invalid_format', `invalid format: the grammar cannot be read: ${reason}`)
}
