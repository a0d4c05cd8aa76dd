/** One thing the model knows, with every way it is asked for. */
export interface Fact {
  /** Phrasings; the first one is the plainest and is what the evaluation asks. */
  readonly questions: readonly string[]
  /** The one canonical answer. */
  readonly answer: string
  /** The part of the answer that makes it right. */
  readonly keyword: string
  /** What the model thinks before answering. */
  readonly think: string
  /** The same fact as an object, for questions that want JSON. */
  readonly json?: Readonly<Record<string, string | number>>
}

/** How a table of pairs turns into facts; `{k}` and `{v}` stand for the pair, `{K}` and `{V}` capitalised. */
export interface Relation {
  readonly pairs: string
  readonly questions: readonly string[]
  readonly answer: string
  readonly think: string
  /** Which side of the pair the answer must contain. */
  readonly keyword?: 'k' | 'v'
  readonly json?: readonly [key: string, value: string]
}

const capitalise = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1)

const fill = (text: string, key: string, value: string): string =>
  text
    .replaceAll('{k}', key)
    .replaceAll('{v}', value)
    .replaceAll('{K}', capitalise(key))
    .replaceAll('{V}', capitalise(value))

/** Splits `a:b, c:d` into pairs; a malformed entry throws an Error that names it. */
export function parsePairs(pairs: string): [string, string][] {
  return pairs.split(/,\s*/).map((entry) => {
    const [key, value] = entry.trim().split(':')
    if (!key || !value) throw new Error(`not a key:value pair: "${entry}"`)
    return [key, value]
  })
}

/** Every fact of a relation, in the table's order. */
export function factsOf(relation: Relation): Fact[] {
  return parsePairs(relation.pairs).map(([key, value]) => ({
    questions: relation.questions.map((question) => fill(question, key, value)),
    answer: fill(relation.answer, key, value),
    keyword: relation.keyword === 'k' ? key : value,
    think: fill(relation.think, key, value),
    ...(relation.json ? { json: { [relation.json[0]]: key, [relation.json[1]]: value } } : {}),
  }))
}
