import { DroverError } from '../inference/index.ts'
import {
  type Grammar,
  type GrammarNode,
  type GrammarSequence,
  parseGrammar,
  printAlternatives,
  printGrammar,
} from './gbnf.ts'

/**
 * What may still come: what is left of a sequence or of repetitions, and then what stands below. Undefined is the end.
 * Equal ones are the same object, so that ways that meet are followed once.
 */
type Rest = SequenceRest | RepeatRest
interface SequenceRest {
  id: number
  nodes: GrammarSequence
  at: number
  below: Rest | undefined
}
interface RepeatRest {
  id: number
  repeated: GrammarNode & { kind: 'repeat' }
  done: number
  below: Rest | undefined
}

/** Only a grammar that calls itself before it takes a character has more ways than this, without an end. */
const mostWays = 20_000

/**
 * A GBNF grammar of exactly the texts with which `text` is one of `grammar`, so that an answer that was begun under the
 * grammar goes on as if it had never been cut. It follows all ways through the rules at once, as llama.cpp's own stacks
 * do (`llama_grammar_accept`). Throws `invalid_format` where no text of the grammar begins so.
 */
export function residualGrammar(grammar: string, text: string): string {
  const rules = parseGrammar(grammar)
  const ways = createWays(rules)
  let rests: Iterable<Rest | undefined> = ways.ofRule('root', undefined)
  for (const character of text) {
    const point = character.codePointAt(0) ?? 0
    const after = new Set<Rest | undefined>()
    for (const { nodes, at, below } of ways.toCharacters(rests)) {
      const node = nodes[at]
      if (node?.kind === 'character' && takes(node, point)) after.add(ways.sequence(nodes, at + 1, below))
    }
    if (after.size === 0) {
      throw new DroverError(
        'invalid_format',
        `invalid format: no text of it begins with what was generated: ${JSON.stringify(text.slice(-200))}`,
      )
    }
    rests = after
  }
  // The old root may be a part of itself.
  let whole = 'whole'
  while (rules.has(whole)) whole += '-'
  const nameOf = (name: string) => (name === 'root' ? whole : name)
  const root = printAlternatives([...rests].map(nodesOf), nameOf)
  return `root ::= ${root}\n${printGrammar(rules, nameOf)}`
}

function takes({ negated, ranges }: GrammarNode & { kind: 'character' }, point: number): boolean {
  return negated !== ranges.some(([first, last]) => point >= first && point <= last)
}

/** All that is left, from here down to the end, as one sequence. */
function nodesOf(rest: Rest | undefined): GrammarNode[] {
  const nodes: GrammarNode[] = []
  for (let at = rest; at; at = at.below) {
    if ('nodes' in at) {
      nodes.push(...at.nodes.slice(at.at))
      continue
    }
    const { least, most } = at.repeated
    if (at.done < most) {
      nodes.push({ ...at.repeated, least: Math.max(0, least - at.done), most: most - at.done })
    }
  }
  return nodes
}

/** The ways through a grammar's rules. */
function createWays(rules: Grammar) {
  const known = new Map<string, Rest>()
  const ids = new Map<object, number>()
  const idOf = (object: object | undefined): number => {
    if (object === undefined) return -1
    const id = ids.get(object) ?? ids.size
    ids.set(object, id)
    return id
  }

  function sequence(nodes: GrammarSequence, at: number, below: Rest | undefined): Rest | undefined {
    if (at === nodes.length) return below
    return intern(`${idOf(nodes)},${at},${below?.id}`, (id) => ({ id, nodes, at, below }))
  }

  function repetitions(
    repeated: GrammarNode & { kind: 'repeat' },
    done: number,
    below: Rest | undefined,
  ): Rest {
    return intern(`${idOf(repeated)}*${done},${below?.id}`, (id) => ({ id, repeated, done, below }))
  }

  function intern(key: string, create: (id: number) => Rest): Rest {
    const rest = known.get(key) ?? create(known.size)
    known.set(key, rest)
    return rest
  }

  function ofRule(name: string, below: Rest | undefined): (Rest | undefined)[] {
    return (rules.get(name) ?? []).map((nodes) => sequence(nodes, 0, below))
  }

  /** Everything that may come next without a character between. */
  function step(rest: Rest): (Rest | undefined)[] {
    if ('repeated' in rest) {
      const { repeated, done, below } = rest
      const { node, least, most } = repeated
      const more =
        done < most ? sequence(asSequence(node), 0, repetitions(repeated, counted(), below)) : undefined
      // Beyond the least, only a bound needs counting.
      function counted(): number {
        return most === Number.POSITIVE_INFINITY ? Math.min(done + 1, least) : done + 1
      }
      return [...(more ? [more] : []), ...(done >= least ? [below] : [])]
    }
    const { nodes, at, below } = rest
    const node = nodes[at]
    const after = sequence(nodes, at + 1, below)
    if (node?.kind === 'rule') return ofRule(node.name, after)
    if (node?.kind === 'group') return node.alternatives.map((inner) => sequence(inner, 0, after))
    if (node?.kind === 'repeat') return [repetitions(node, 0, after)]
    return []
  }

  const sequences = new Map<GrammarNode, GrammarSequence>()
  function asSequence(node: GrammarNode): GrammarSequence {
    const nodes = sequences.get(node) ?? [node]
    sequences.set(node, nodes)
    return nodes
  }

  function* toCharacters(from: Iterable<Rest | undefined>): Generator<SequenceRest> {
    const seen = new Set<Rest>()
    const open = [...from]
    while (open.length > 0) {
      const rest = open.pop()
      if (!rest || seen.has(rest)) continue
      seen.add(rest)
      if (seen.size > mostWays) {
        throw new DroverError(
          'invalid_format',
          'invalid format: the grammar has a rule that begins with itself',
        )
      }
      if ('nodes' in rest && rest.nodes[rest.at]?.kind === 'character') yield rest
      else open.push(...step(rest))
    }
  }

  return { sequence, ofRule, toCharacters }
}
