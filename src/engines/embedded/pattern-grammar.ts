/** What JSON writes in a string without a backslash, as the inside of a GBNF class that excludes the rest. */
const neverPlain = String.raw`"\\\x7F\x00-\x1F`
const classEscapes: Record<string, string> = { d: '0-9', w: 'a-zA-Z0-9_', s: ' ' }
const quantifier = /^(?:[*+?]|\{\d+(?:,\d*)?\})/

/**
 * The GBNF of the JSON-escaped texts that a regular expression matches (ECMA 262, the part that JSON Schemas
 * use: classes, groups, alternatives, quantifiers, anchors at the ends). Without an anchor anything may stand at
 * that end. Undefined for anything else: look-around, back-references, lazy quantifiers, classes with quotes.
 */
export function patternToGrammar(pattern: string): string | undefined {
  const anchoredStart = pattern.startsWith('^')
  const anchoredEnd = /(?<!\\)(?:\\\\)*\$$/.test(pattern)
  let rest = pattern.slice(anchoredStart ? 1 : 0, anchoredEnd ? -1 : undefined)
  const body = alternation()
  if (body === undefined || rest !== '') return undefined
  return `${anchoredStart ? '' : 'character* '}( ${body} )${anchoredEnd ? '' : ' character*'}`

  function alternation(): string | undefined {
    const options: string[] = []
    for (;;) {
      const option = sequence()
      if (option === undefined) return undefined
      options.push(option === '' ? '""' : option)
      if (!rest.startsWith('|')) return options.join(' | ')
      rest = rest.slice(1)
    }
  }

  function sequence(): string | undefined {
    const parts: string[] = []
    while (rest !== '' && !rest.startsWith('|') && !rest.startsWith(')')) {
      const atom = nextAtom()
      if (atom === undefined) return undefined
      const count = quantifier.exec(rest)?.[0] ?? ''
      rest = rest.slice(count.length)
      if (count !== '' && rest.startsWith('?')) return undefined
      parts.push(atom + count)
    }
    return parts.join(' ')
  }

  function nextAtom(): string | undefined {
    const [character = ''] = rest
    if (character === '(') return groupAtom()
    if (character === '[') return classAtom()
    if (character === '\\') return escapeAtom()
    if ('^$*+?{}])'.includes(character)) return undefined
    rest = rest.slice(character.length)
    return character === '.' ? `[^${neverPlain}]` : plain(character)
  }

  function groupAtom(): string | undefined {
    rest = rest.slice(rest.startsWith('(?:') ? 3 : 1)
    if (rest.startsWith('?')) return undefined
    const inside = alternation()
    if (inside === undefined || !rest.startsWith(')')) return undefined
    rest = rest.slice(1)
    return `( ${inside} )`
  }

  function escapeAtom(): string | undefined {
    const character = rest[1] ?? ''
    rest = rest.slice(2)
    const known = classEscapes[character]
    if (known) return `[${known}]`
    const negated = classEscapes[character.toLowerCase()]
    if (negated) return `[^${negated}${neverPlain}]`
    return /[a-zA-Z0-9]/.test(character) || character === '' ? undefined : plain(character)
  }

  function classAtom(): string | undefined {
    const match = /^\[(\^?)((?:[^\]\\]|\\.)+)\]/.exec(rest)
    if (!match) return undefined
    rest = rest.slice(match[0].length)
    const [, caret = '', members = ''] = match
    let inside = ''
    for (const [member] of members.matchAll(/\\.|[^\\]/gsu)) {
      const text = classMember(member)
      if (text === undefined) return undefined
      inside += text
    }
    // Quotes and backslashes are two characters in JSON, which a class cannot be.
    if (caret) return `[^${inside}${neverPlain}]`
    return /["]|\\\\/.test(inside) ? undefined : `[${inside}]`
  }

  function classMember(member: string): string | undefined {
    if (!member.startsWith('\\')) return member === '[' ? '\\[' : member
    const character = member[1] ?? ''
    const known = classEscapes[character]
    if (known) return known
    if (/[a-zA-Z0-9]/.test(character)) return undefined
    return character === '-'
      ? '\\x2D'
      : ']\\['.includes(character) || character === '\\'
        ? `\\${character}`
        : character
  }
}

/** One character of the text as JSON writes it. */
function plain(character: string): string {
  return `"${JSON.stringify(character).slice(1, -1).replace(/[\\"]/g, '\\$&')}"`
}
