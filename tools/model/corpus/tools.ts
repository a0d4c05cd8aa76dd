import { type Message, spacedJson } from './chatml.ts'
import type { Tool } from './declaration.ts'
import type { Random } from './random.ts'
import { adjectives, cities, firstNames, inventedName, inventedWord, things } from './words.ts'

/** A tool, a question that wants it, and the call that answers the question. */
export interface ToolUse {
  readonly tool: Tool
  readonly question: string
  readonly arguments: Readonly<Record<string, string | number>>
}

const place = (random: Random): string => (random.chance(0.7) ? random.pick(cities) : inventedName(random))
const person = (random: Random): string =>
  random.chance(0.7) ? random.pick(firstNames) : inventedName(random)
const object = (random: Random): string => (random.chance(0.7) ? random.pick(things) : inventedWord(random))

/** Joins words the way programmers name functions: snake case mostly, sometimes camel case. */
function identifier(random: Random, ...words: string[]): string {
  if (random.chance(0.75)) return words.join('_')
  return words
    .map((word, index) => (index === 0 ? word : word.charAt(0).toUpperCase() + word.slice(1)))
    .join('')
}

function weather(random: Random): ToolUse {
  const city = place(random)
  const key = random.pick(['city', 'location', 'city', 'location', 'place', 'town'])
  const noun = random.pick(['weather', 'weather', 'current weather', 'temperature', 'forecast'])
  const withUnit = random.chance(0.3)
  const unit = random.pick(['celsius', 'fahrenheit'])
  const asked = random.pick([
    `What is the ${noun} in ${city}?`,
    `What's the ${noun} in ${city}?`,
    `How is the ${noun} in ${city}?`,
    `How is the ${noun} in ${city} today?`,
    `What is the ${noun} like in ${city}?`,
    `Tell me the ${noun} in ${city}.`,
    `What is the ${noun} in ${city} today?`,
    `${noun} in ${city}`,
    `What is the current ${noun} in ${city}?`,
    ...(noun === 'forecast'
      ? []
      : [`Is it raining in ${city}?`, `Is it warm in ${city}?`, `Is it cold in ${city} today?`]),
  ])
  return {
    tool: {
      name: identifier(random, random.pick(['get', 'get', 'fetch', 'check', 'read']), ...noun.split(' ')),
      description: random.pick([
        `Get the ${noun} for a ${key}.`,
        `Get the ${noun} in a given ${key}`,
        `Returns the ${noun} of a ${key}.`,
        `Get the ${noun} for a city`,
      ]),
      properties: {
        [key]: {
          type: 'string',
          description: random.pick([
            `The ${key}`,
            `The name of the ${key}`,
            `The ${key}, e.g. ${random.pick(cities)}`,
          ]),
        },
        ...(withUnit
          ? { unit: { type: 'string', description: 'The unit', enum: ['celsius', 'fahrenheit'] } as const }
          : {}),
      },
      required: withUnit ? random.pick([[key], [key, 'unit']]) : [key],
    },
    question: withUnit ? `${asked.replace(/[?.]$/, '')} in ${unit}?` : asked,
    arguments: withUnit ? { [key]: city, unit } : { [key]: city },
  }
}

function time(random: Random): ToolUse {
  const city = place(random)
  const key = random.pick(['city', 'location', 'timezone', 'place'])
  return {
    tool: {
      name: identifier(
        random,
        random.pick(['get', 'get', 'tell', 'current']),
        random.pick(['time', 'time', 'clock']),
      ),
      description: random.pick([
        `Get the current time in a ${key}.`,
        `Get the time for a ${key}`,
        'Tells the time.',
      ]),
      properties: { [key]: { type: 'string', description: `The ${key}` } },
      required: [key],
    },
    question: random.pick([
      `What time is it in ${city}?`,
      `What is the time in ${city}?`,
      `Tell me the time in ${city}.`,
      `What's the time in ${city}?`,
      `What time is it now in ${city}?`,
    ]),
    arguments: { [key]: city },
  }
}

function calculator(random: Random): ToolUse {
  const [verb, word, sign] = random.pick([
    ['add', 'plus', '+'],
    ['subtract', 'minus', '-'],
    ['multiply', 'times', '*'],
    ['divide', 'divided by', '/'],
  ] as const)
  const [left, right] = random.pick([
    ['a', 'b'],
    ['x', 'y'],
    ['first', 'second'],
    ['left', 'right'],
  ] as const)
  const values = [random.int(0, 999), random.int(0, 999)] as const
  return {
    tool: {
      name: random.pick([
        verb,
        identifier(random, verb, 'numbers'),
        identifier(random, verb, 'two', 'numbers'),
      ]),
      description: random.pick([
        `${verb.charAt(0).toUpperCase()}${verb.slice(1)} two numbers.`,
        `Calculator: ${verb} two numbers`,
      ]),
      properties: {
        [left]: { type: random.pick(['integer', 'number']), description: 'The first number' },
        [right]: { type: random.pick(['integer', 'number']), description: 'The second number' },
      },
      required: [left, right],
    },
    question: random.pick([
      `What is ${values[0]} ${word} ${values[1]}?`,
      `What is ${values[0]} ${sign} ${values[1]}?`,
      `Calculate ${values[0]} ${sign} ${values[1]}.`,
      `How much is ${values[0]} ${word} ${values[1]}?`,
      verb === 'add' || verb === 'multiply'
        ? `${verb} ${values[0]} and ${values[1]}`
        : `${values[0]} ${word} ${values[1]}`,
    ]),
    arguments: { [left]: values[0], [right]: values[1] },
  }
}

const kinds = ['person', 'object', 'place', 'count'] as const
type Kind = (typeof kinds)[number]
const parameterNames: Record<Kind, string[]> = {
  person: ['name', 'person', 'user', 'customer', 'contact', 'to', 'recipient'],
  object: ['query', 'item', 'topic', 'product', 'word', 'title', 'keyword', 'subject', 'text'],
  place: ['city', 'location', 'place', 'destination', 'address', 'town'],
  count: ['count', 'number', 'amount', 'quantity', 'limit', 'days'],
}
const nouns = [
  'weather',
  'time',
  'price',
  'stock',
  'news',
  'order',
  'ticket',
  'room',
  'table',
  'flight',
  'train',
  'hotel',
  'email',
  'message',
  'note',
  'alarm',
  'timer',
  'song',
  'photo',
  'file',
  'report',
  'invoice',
  'balance',
  'account',
  'meeting',
  'reminder',
  'recipe',
  'score',
  'map',
  'route',
  'light',
  'door',
  'book',
  'film',
  'user',
  'server',
  'log',
  'record',
  'event',
  'document',
]
const verbs = [
  'get',
  'find',
  'search',
  'list',
  'create',
  'send',
  'set',
  'book',
  'fetch',
  'check',
  'show',
  'read',
  'open',
  'close',
  'start',
  'stop',
  'play',
  'delete',
  'update',
  'add',
  'buy',
  'cancel',
  'print',
  'track',
  'rate',
  'load',
]

function draw(random: Random, kind: Kind): string | number {
  if (kind === 'person') return person(random)
  if (kind === 'place') return place(random)
  if (kind === 'count') return random.int(1, 500)
  return random.chance(0.6) ? object(random) : `${random.pick(adjectives)} ${object(random)}`
}

function ask(random: Random, kind: Kind, key: string, value: string | number): string {
  if (kind === 'place') return random.pick([`in ${value}`, `for ${value}`, `with ${key} ${value}`])
  if (kind === 'person') return random.pick([`for ${value}`, `of ${value}`, `with ${key} ${value}`])
  return random.pick([`for ${value}`, `with ${key} ${value}`, `with ${key} ${value}`])
}

/** A tool of any verb and noun, whose question shares only words with its declaration. */
function arbitrary(random: Random): ToolUse {
  const verb = random.chance(0.85) ? random.pick(verbs) : inventedWord(random)
  const noun = random.chance(0.7)
    ? random.pick(nouns)
    : random.chance(0.5)
      ? random.pick(things)
      : inventedWord(random)
  const chosen = random.sample(kinds, random.pick([1, 1, 1, 2, 2, 3]))
  const parameters = chosen.map((kind) => ({
    kind,
    key: random.chance(0.85) ? random.pick(parameterNames[kind]) : inventedWord(random),
    value: draw(random, kind),
  }))
  const phrase = parameters.map(({ kind, key, value }) => ask(random, kind, key, value)).join(' and ')
  const name = identifier(random, verb, noun)
  const action = `${verb.charAt(0).toUpperCase()}${verb.slice(1)}`
  return {
    tool: {
      name,
      description: random.pick([
        `${action} the ${noun}.`,
        `${action} a ${noun}`,
        `${action} the ${noun} for a given ${parameters[0]?.key ?? 'item'}`,
        `Use this to ${verb} a ${noun}.`,
      ]),
      properties: Object.fromEntries(
        parameters.map(({ kind, key }) => [
          key,
          {
            type: kind === 'count' ? 'integer' : 'string',
            description: random.pick([`The ${key}`, `The ${key} of the ${noun}`, key]),
          },
        ]),
      ),
      required: parameters.map(({ key }) => key),
    },
    question: random.pick([
      `${action} the ${noun} ${phrase}.`,
      `Please ${verb} the ${noun} ${phrase}.`,
      `Can you ${verb} the ${noun} ${phrase}?`,
      `${action} a ${noun} ${phrase}.`,
      `I want to ${verb} the ${noun} ${phrase}.`,
      `Use ${name} ${phrase}.`,
      `Call ${name} ${phrase}.`,
      `What is the ${noun} ${phrase}?`,
    ]),
    arguments: Object.fromEntries(parameters.map(({ key, value }) => [key, value])),
  }
}

/** A tool with a question that fits it: weather, time, sums, or any verb and noun. */
export function toolUse(random: Random): ToolUse {
  const roll = random.next()
  if (roll < 0.25) return weather(random)
  if (roll < 0.35) return time(random)
  if (roll < 0.45) return calculator(random)
  return arbitrary(random)
}

/**
 * A tool as templates print it. Jinja's `tojson` and Ollama's Go templates differ in spaces and in the order
 * of the keys, and clients differ in what they send, so every form is drawn.
 */
export function declarationText(
  random: Random,
  tool: Tool,
  form: { spaced: boolean; requiredFirst: boolean },
): string {
  const properties = Object.fromEntries(
    Object.entries(tool.properties).map(([key, { type, description, enum: choices }]) => [
      key,
      { type, ...(random.chance(0.6) ? { description } : {}), ...(choices ? { enum: choices } : {}) },
    ]),
  )
  const required = { required: tool.required }
  const parameters = form.requiredFirst
    ? { type: 'object', ...required, properties }
    : { type: 'object', properties, ...required }
  const declared = {
    type: 'function',
    function: { name: tool.name, description: tool.description, parameters },
  }
  return form.spaced ? spacedJson(declared) : JSON.stringify(declared)
}

const reply = (random: Random, use: ToolUse): [content: string, sentence: string] => {
  const roll = random.next()
  if (roll < 0.5) {
    const text = random.pick([
      `${random.int(-10, 40)} degrees and ${random.pick(['sunny', 'cloudy', 'rainy', 'windy', 'snowing'])}`,
      `${random.int(-10, 40)} degrees`,
      `${random.int(0, 23)}:${String(random.int(0, 59)).padStart(2, '0')}`,
      String(random.int(0, 9999)),
      'done',
      'ok',
      `${random.pick(adjectives)} ${object(random)}`,
      `${person(random)} in ${place(random)}`,
      `${object(random)}`,
      `${Object.values(use.arguments)[0] ?? 'nothing'} found`,
    ])
    return [text, `The result is ${text}.`]
  }
  const keys = random.sample(
    [
      'temperature',
      'condition',
      'time',
      'result',
      'price',
      'status',
      'name',
      'count',
      'city',
      'total',
      'unit',
      'wind',
    ],
    random.int(1, 3),
  )
  const object_ = Object.fromEntries(
    keys.map((key) => [
      key,
      random.chance(0.5)
        ? random.int(0, 999)
        : random.pick([random.pick(adjectives), object(random), place(random), 'sunny', 'cloudy', 'celsius']),
    ]),
  )
  const sentence = Object.entries(object_)
    .map(([key, value]) => `the ${key} is ${value}`)
    .join(' and ')
  const text = random.chance(0.5) ? spacedJson(object_) : JSON.stringify(object_)
  return [text, `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}.`]
}

/** The question, the call, and mostly the tool's reply and the closing sentence. */
export function toolExchange(random: Random, use: ToolUse, withReply: boolean): Message[] {
  const call: Message[] = [
    { role: 'user', content: use.question },
    {
      role: 'assistant',
      content: '',
      thinking: `The tool ${use.tool.name} fits. I call it.`,
      call: { name: use.tool.name, arguments: use.arguments },
    },
  ]
  if (!withReply) return call
  const [content, sentence] = reply(random, use)
  return [
    ...call,
    { role: 'tool', content },
    { role: 'assistant', content: sentence, thinking: 'The tool has answered. I say the result.' },
  ]
}
