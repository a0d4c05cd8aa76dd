import { type Conversation, type Message, spacedJson } from './chatml.ts'
import type { Fact } from './fact.ts'
import type { Random } from './random.ts'
import { cities, firstNames, inventedName, inventedWord, things } from './words.ts'

const requests = [
  'Answer in JSON.',
  'Reply in JSON.',
  'Respond in JSON.',
  'Answer with JSON only.',
  'Use JSON.',
  'Answer as JSON.',
  'Respond using JSON.',
  'Give the answer as a JSON object.',
]
const systems = [
  'Answer in JSON.',
  'You always answer in JSON.',
  'Reply only with JSON.',
  'You are a helpful assistant. Respond in JSON.',
]

const fields: [string, (random: Random) => string | number, (value: string | number) => string][] = [
  ['name', (r) => (r.chance(0.6) ? r.pick(firstNames) : inventedName(r)), (value) => `${value}`],
  ['age', (r) => r.int(1, 99), (value) => `is ${value} years old`],
  ['city', (r) => (r.chance(0.6) ? r.pick(cities) : inventedName(r)), (value) => `lives in ${value}`],
  [
    'colour',
    (r) => r.pick(['red', 'blue', 'green', 'yellow', 'black', 'white']),
    (value) => `likes ${value}`,
  ],
  ['owns', (r) => (r.chance(0.6) ? r.pick(things) : inventedWord(r)), (value) => `owns a ${value}`],
]

function extraction(random: Random): Message[] {
  const [name, ...others] = fields
  if (!name) return []
  const chosen = [name, ...random.sample(others, random.int(1, 3))]
  const values = chosen.map(([key, draw, say]) => ({ key, value: draw(random), say }))
  const [subject, ...rest] = values.map(({ value, say }) => say(value))
  const sentence = `${subject} ${rest.join(' and ')}.`
  const object = Object.fromEntries(values.map(({ key, value }) => [key, value]))
  const keys = values.map(({ key }) => key).join(', ')
  const question = random.pick([
    `${sentence} Answer in JSON with the keys ${keys}.`,
    `Give me JSON with ${keys}: ${sentence}`,
    `Extract ${keys} as JSON: ${sentence}`,
    `${sentence} Write this as JSON.`,
  ])
  return [
    { role: 'user', content: question },
    { role: 'assistant', content: spacedJson(object), thinking: 'The user wants JSON. I copy the values.' },
  ]
}

/** A conversation whose answer is a JSON object, asked for by the user or the system prompt. */
export function jsonConversation(random: Random, facts: readonly Fact[], thinks: boolean): Conversation {
  if (random.chance(0.35)) return { messages: extraction(random), thinks }
  const { questions, json, think } = random.pick(facts)
  const bySystem = random.chance(0.4)
  const question = random.pick(questions)
  const request = random.pick(requests)
  const asked = random.chance(0.75) ? `${question} ${request}` : `${request} ${question}`
  return {
    ...(bySystem ? { system: random.pick(systems) } : {}),
    messages: [
      { role: 'user', content: bySystem && random.chance(0.7) ? question : asked },
      { role: 'assistant', content: spacedJson(json), thinking: think },
    ],
    thinks,
  }
}
