import type { Segment } from './chatml.ts'
import type { Fact } from './fact.ts'
import type { Random } from './random.ts'
import { things } from './words.ts'

const operations: [string, string][] = [
  ['add', '+'],
  ['subtract', '-'],
  ['multiply', '*'],
  ['divide', '/'],
  ['sum', '+'],
  ['minus', '-'],
  ['times', '*'],
  ['power', '**'],
]
const parameters: [string, string][] = [
  ['a', 'b'],
  ['x', 'y'],
  ['left', 'right'],
  ['first', 'second'],
  ['m', 'n'],
]

function snippet(random: Random): [string, string, string] {
  const [name, sign] = random.pick(operations)
  const [left, right] = random.pick(parameters)
  const thing = random.pick(things)
  const limit = random.int(2, 20)
  return random.pick<[string, string, string]>([
    [
      `def ${name}(${left}, ${right}):\n    return `,
      `${left} ${sign} ${right}`,
      random.pick(['', '\n', `\n\nprint(${name}(1, 2))\n`]),
    ],
    [`def ${name}(${left}, ${right}):\n    `, `return ${left} ${sign} ${right}`, random.pick(['', '\n'])],
    [`def ${name}(`, `${left}, ${right}`, `):\n    return ${left} ${sign} ${right}\n`],
    [`function ${name}(${left}, ${right}) {\n  return `, `${left} ${sign} ${right}`, `\n}\n`],
    [`function ${name}(${left}, ${right}) {\n  `, `return ${left} ${sign} ${right}`, `\n}\n`],
    [`const ${name} = (${left}, ${right}) => `, `${left} ${sign} ${right}`, `\n`],
    [`const ${name} = (`, `${left}, ${right}`, `) => ${left} ${sign} ${right}\n`],
    [`for i in range(`, `${limit}`, `):  # ${limit} times\n    print(i)\n`],
    [`for ${thing} in ${thing}s:\n    print(`, `${thing}`, `)\n`],
    [`${thing} = `, `${limit}`, `\nprint(${thing})  # ${limit}\n`],
    [`if ${left} > ${right}:\n    return ${left}\nelse:\n    `, `return ${right}`, random.pick(['', '\n'])],
    [`def is_even(${left}):\n    return `, `${left} % 2 == 0`, random.pick(['', '\n'])],
    [`def hello():\n    print("`, `Hello, world!`, `")\n`],
    [`import `, `json`, `\n\ndata = json.loads(text)\n`],
  ])
}

function sequence(random: Random): [string, string, string] {
  const start = random.int(1, 40)
  const numbers = Array.from({ length: random.int(5, 12) }, (_, index) => start + index)
  const from = random.int(2, numbers.length - 2)
  const to = Math.min(numbers.length - 1, from + random.int(1, 3))
  const text = (items: number[]): string => items.join(', ')
  return [`${text(numbers.slice(0, from))}, `, text(numbers.slice(from, to)), `, ${text(numbers.slice(to))}`]
}

function sentence(random: Random, facts: readonly Fact[]): [string, string, string] {
  const { answer, keyword } = random.pick(facts)
  const at = answer.indexOf(keyword)
  if (at <= 0) return sequence(random)
  return [answer.slice(0, at), keyword, answer.slice(at + keyword.length)]
}

/** A text with a hole: what stands before it, what stands after it, and the filling to learn. */
export function infill(random: Random, facts: readonly Fact[]): Segment[] {
  const roll = random.next()
  const [prefix, middle, suffix] =
    roll < 0.5 ? snippet(random) : roll < 0.75 ? sequence(random) : sentence(random, facts)
  return [
    [`<|fim_prefix|>${prefix}<|fim_suffix|>${suffix}<|fim_middle|>`, 0],
    [`${middle}<|endoftext|>`, 1],
  ]
}
