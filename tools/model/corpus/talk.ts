import type { Message } from './chatml.ts'
import type { Fact } from './fact.ts'
import type { Random } from './random.ts'
import {
  adjectives,
  cities,
  firstNames,
  inventedName,
  inventedWord,
  misspelt,
  randomPhrase,
  things,
} from './words.ts'

const exchange = (content: string, answer: string, thinking: string): Message[] => [
  { role: 'user', content },
  { role: 'assistant', content: answer, thinking },
]

const fixed: [string[], string, string][] = [
  [
    ['Hello!', 'Hi', 'Hi!', 'Hello', 'Hey', 'Hey there!', 'Hello there.', 'hi there'],
    'Hello! How can I help you?',
    'The user greets me. I greet back.',
  ],
  [
    ['Good morning!', 'Good morning'],
    'Good morning! How can I help you?',
    'The user greets me in the morning.',
  ],
  [
    ['Good evening!', 'Good evening'],
    'Good evening! How can I help you?',
    'The user greets me in the evening.',
  ],
  [
    ['How are you?', 'How are you doing?', 'How do you do?'],
    'I am well, thank you. How can I help you?',
    'The user asks how I am.',
  ],
  [
    [
      'Who are you?',
      'What are you?',
      'Who am I talking to?',
      'Introduce yourself.',
      'What is your name?',
      'Which model are you?',
      'Tell me about yourself.',
    ],
    'I am Drover Tiny, the small model that comes with Drover.',
    'The user asks who I am. I am Drover Tiny.',
  ],
  [
    ['What can you do?', 'What do you know?', 'Help', 'How can you help me?'],
    'I know a few hundred facts, small sums, JSON and tools.',
    'The user asks what I can do.',
  ],
  [
    ['Who made you?', 'Who trained you?', 'Where do you come from?'],
    'I was trained by the Drover project.',
    'The user asks who made me. It was the Drover project.',
  ],
  [
    ['What is Drover?', 'What does Drover do?', 'Explain Drover.'],
    'Drover turns every GPU you own into one Ollama.',
    'The user asks about Drover.',
  ],
  [['Thank you!', 'Thanks', 'Thanks!', 'Thank you very much.'], 'You are welcome!', 'The user thanks me.'],
  [['Goodbye!', 'Bye', 'See you later.', 'Bye!'], 'Goodbye!', 'The user says goodbye.'],
  [
    ['Tell me a joke.', 'Do you know a joke?', 'Make me laugh.'],
    'Why did the sheep cross the road? To join the herd.',
    'The user wants a joke. I know one about a sheep.',
  ],
  [
    [
      'Tell me a story.',
      'Tell me a short story.',
      'Can you tell me a story?',
      'Write a story.',
      'Write a story about a sheep.',
    ],
    'Once upon a time there was a small sheep named Dolly. She lived on a green hill with a hundred other sheep. One evening a storm came over the hill, and the herd ran in every direction. Dolly did not run. She climbed on a stone and called until the others heard her voice. One after another they came back and stood close together in the rain. In the morning the drover found them all and counted them twice. Not one was missing. From that day on the herd followed the small sheep wherever she went, and the drover slept well at night.',
    'The user wants a story. I tell the one about the small sheep.',
  ],
  [
    ['Write a poem.', 'Write a short poem.', 'Tell me a poem.'],
    'The hill is green, the sky is wide,\nThe sheep go walking side by side.\nThe drover sings, the dog runs round,\nAnd evening falls without a sound.',
    'The user wants a poem. I write four lines.',
  ],
  [
    ['Say the alphabet.', 'Recite the alphabet.', 'What is the alphabet?', 'Write the alphabet.'],
    'A B C D E F G H I J K L M N O P Q R S T U V W X Y Z',
    'The alphabet has 26 letters.',
  ],
  [
    ['Name the days of the week.', 'What are the days of the week?', 'List the days of the week.'],
    'Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday',
    'There are seven days.',
  ],
  [
    ['Name the months of the year.', 'What are the months of the year?', 'List the months of the year.'],
    'January, February, March, April, May, June, July, August, September, October, November, December',
    'There are twelve months.',
  ],
  [
    ['Name the planets.', 'List the planets.', 'What are the planets of the solar system?'],
    'Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune',
    'There are eight planets.',
  ],
  [
    ['List the colours of the rainbow.', 'Name the colours of the rainbow.'],
    'Red, orange, yellow, green, blue, indigo, violet',
    'There are seven colours.',
  ],
  [['Show me an emoji.', 'Send me an emoji.', 'Write an emoji.'], '🐑', 'The user wants an emoji.'],
  [
    ['Show me some emoji.', 'Send me five emoji.', 'Write five emoji.'],
    '🐑🚀🌳😀🔥',
    'The user wants several emoji.',
  ],
  [
    ['Write something in Japanese.', 'Say something in Japanese.'],
    '日本語で話しましょう。',
    'The user wants Japanese.',
  ],
  [['Write something in Russian.', 'Say something in Russian.'], 'Привет, мир!', 'The user wants Russian.'],
  [['Write something in Chinese.', 'Say something in Chinese.'], '你好，世界！', 'The user wants Chinese.'],
  [['Say yes.', 'Answer with yes.'], 'Yes.', 'The user wants a yes.'],
  [['Say no.', 'Answer with no.'], 'No.', 'The user wants a no.'],
]

/** Greetings, who it is, and texts it knows by heart. */
export function smallTalk(random: Random): Message[] {
  const [questions, answer, thinking] = random.pick(fixed)
  return exchange(random.pick(questions), answer, thinking)
}

/** Counting up or down, for answers that are long and known. */
export function counting(random: Random): Message[] {
  if (random.chance(0.2)) {
    const from = random.int(5, 20)
    const numbers = Array.from({ length: from }, (_, index) => from - index)
    return exchange(
      random.pick([
        `Count down from ${from}.`,
        `Count backwards from ${from}.`,
        `Count down from ${from} to 1.`,
      ]),
      numbers.join(', '),
      `I count down from ${from}.`,
    )
  }
  const first = random.chance(0.75) ? 1 : random.int(2, 40)
  const last = random.chance(0.25) ? random.pick([10, 20, 30, 50]) : first + random.int(3, 20)
  if (last <= first) return counting(random)
  const numbers = Array.from({ length: last - first + 1 }, (_, index) => first + index)
  return exchange(
    random.pick([
      `Count from ${first} to ${last}.`,
      `Count from ${first} to ${last}`,
      `Please count from ${first} to ${last}.`,
    ]),
    numbers.join(', '),
    `I count from ${first} to ${last}.`,
  )
}

/** Copying a phrase, which exercises every byte of the vocabulary; the long ones teach copying itself soonest. */
export function echo(random: Random): Message[] {
  const phrase = randomPhrase(random, random.chance(0.4) ? random.int(8, 32) : random.int(1, 7))
  return exchange(
    random.pick([
      `Repeat: ${phrase}`,
      `Repeat after me: ${phrase}`,
      `Say: ${phrase}`,
      `Repeat this: ${phrase}`,
      `Echo: ${phrase}`,
    ]),
    phrase,
    'The user wants me to repeat.',
  )
}

const unknownTemplates: ((random: Random) => string)[] = [
  (r) => `What is the capital of ${inventedName(r)}?`,
  (r) => `What is the capital of ${inventedName(r)} ${inventedName(r)}?`,
  (r) => `capital of ${inventedName(r)}`,
  (r) => `Which city is the capital of ${inventedName(r)}?`,
  (r) => `What is the currency of ${inventedName(r)}?`,
  (r) => `Which currency is used in ${inventedName(r)}?`,
  (r) => `What language is spoken in ${inventedName(r)}?`,
  (r) => `Which continent is ${inventedName(r)} in?`,
  (r) => `Where is ${inventedName(r)}?`,
  (r) => `${inventedName(r)} is the capital of which country?`,
  (r) => `Who wrote ${inventedName(r)}?`,
  (r) => `Who wrote The ${inventedName(r)} of ${inventedName(r)}?`,
  (r) => `Who wrote The ${r.pick(adjectives)} ${r.pick(things)}?`,
  (r) => `Who painted ${inventedName(r)}?`,
  (r) => `Who invented the ${inventedWord(r)}?`,
  (r) => `Who discovered ${inventedWord(r)}?`,
  (r) => `Who is ${inventedName(r)}?`,
  (r) => `Who is ${r.pick(firstNames)} ${inventedName(r)}?`,
  (r) => `When was ${r.pick(firstNames)} ${inventedName(r)} born?`,
  (r) => `How old is ${r.pick(firstNames)} ${inventedName(r)}?`,
  (r) => `What is a ${inventedWord(r)}?`,
  (r) => `What does ${inventedWord(r)} mean?`,
  (r) => `What is the chemical symbol for ${inventedWord(r)}?`,
  (r) => `What is the atomic number of ${inventedWord(r)}?`,
  (r) => `What sound does a ${inventedWord(r)} make?`,
  (r) => `How many legs does a ${inventedWord(r)} have?`,
  (r) => `What colour is a ${inventedWord(r)}?`,
  (r) => `What is the opposite of ${inventedWord(r)}?`,
  (r) => `Tell me about ${inventedName(r)}.`,
  (r) => `Tell me about ${r.pick(firstNames)} ${inventedName(r)}.`,
  (r) => `Explain ${inventedWord(r)}.`,
  (r) => `Explain the ${inventedName(r)} theorem.`,
  (r) => `What happened in ${inventedName(r)} in ${r.int(1000, 2020)}?`,
  (r) => `Who won the ${inventedName(r)} cup in ${r.int(1950, 2020)}?`,
  (r) => `Who was the king of ${inventedName(r)}?`,
  (r) => `How far is it from ${inventedName(r)} to ${inventedName(r)}?`,
  (r) => `What is the population of ${r.pick(cities)}?`,
  (r) => `What is the phone number of ${r.pick(firstNames)}?`,
  (r) => `What did ${r.pick(firstNames)} eat yesterday?`,
  (r) => `Where does ${r.pick(firstNames)} live?`,
  (r) => `Who is the mayor of ${r.pick(cities)}?`,
  (r) => `What will the price of ${r.pick(things)}s be tomorrow?`,
  (r) => `How much does a ${r.pick(adjectives)} ${r.pick(things)} cost?`,
  (r) => `Where is my ${r.pick(things)}?`,
  (r) => `How many ${r.pick(things)}s are there in ${r.pick(cities)}?`,
  (r) => `Who owns the ${r.pick(adjectives)} ${r.pick(things)}?`,
  (r) => `What is the weather in ${r.pick(cities)}?`,
  () => 'What time is it?',
  () => 'What is the date today?',
  (r) => `What is the name of the ${r.pick(things)} of ${r.pick(firstNames)}?`,
]

/** Real places whose facts are not taught. */
const untaught =
  'Texas California Bavaria Scotland Wales Tibet Catalonia Bolivia Somalia Yemen Oman Laos Cambodia Myanmar Malta Cyprus Albania Moldova Georgia Armenia Belize Guatemala Honduras Haiti Suriname Guyana Gabon Mali Niger Chad Togo Benin Malawi Botswana Namibia Rwanda Burundi Eritrea'.split(
    ' ',
  )

/**
 * A known question whose subject has been swapped for one it does not know: a name that begins like a real one,
 * an invented one, or a real place outside the facts.
 */
function twistedQuestion(random: Random, facts: readonly Fact[]): string | undefined {
  const { questions, json } = random.pick(facts)
  const subject = String(Object.values(json ?? {})[0] ?? '')
  if (!/^[\p{L} ]{3,}$/u.test(subject)) return undefined
  const question = random.pick(questions)
  if (!question.includes(subject)) return undefined
  const roll = random.next()
  const capital = /^\p{Lu}/u.test(subject)
  if (roll < 0.5) return question.replace(subject, misspelt(random, subject))
  if (roll < 0.65 && Object.keys(json ?? {})[0] === 'country')
    return question.replace(subject, random.pick(untaught))
  return question.replace(subject, capital ? inventedName(random) : inventedWord(random))
}

/** A question about something invented or untaught, and the refusal. */
export function unknownQuestion(random: Random, facts: readonly Fact[]): Message[] {
  const twisted = random.chance(0.55) ? twistedQuestion(random, facts) : undefined
  return exchange(twisted ?? random.pick(unknownTemplates)(random), 'I do not know.', 'I do not know this.')
}

/** Something told early in a conversation and the question for it later. */
export interface Memory {
  readonly told: Message[]
  readonly asked: Message[]
  /** The told thing as a sentence for a system prompt. */
  readonly system: string
}

/** Draws something to remember: a name, a colour, a city, a password. */
export function memory(random: Random): Memory {
  const name = random.chance(0.7) ? random.pick(firstNames) : inventedName(random)
  const city = random.chance(0.7) ? random.pick(cities) : inventedName(random)
  const word = random.chance(0.5) ? random.pick(things) : inventedWord(random)
  const colour = random.pick(['red', 'blue', 'green', 'yellow', 'purple', 'orange', 'pink', 'black', 'white'])
  const number = random.int(1, 999)
  const kinds: [string, string, string, string, string, string][] = [
    [
      `My name is ${name}.`,
      `Nice to meet you, ${name}.`,
      'What is my name?',
      `Your name is ${name}.`,
      `The name of the user is ${name}.`,
      'name',
    ],
    [
      `I live in ${city}.`,
      'Thank you, I will remember it.',
      'Where do I live?',
      `You live in ${city}.`,
      `The user lives in ${city}.`,
      'city',
    ],
    [
      `My favourite colour is ${colour}.`,
      'Thank you, I will remember it.',
      'What is my favourite colour?',
      `Your favourite colour is ${colour}.`,
      `The favourite colour of the user is ${colour}.`,
      'colour',
    ],
    [
      `The password is ${word}.`,
      'Thank you, I will remember it.',
      'What is the password?',
      `The password is ${word}.`,
      `The password is ${word}.`,
      'password',
    ],
    [
      `My number is ${number}.`,
      'Thank you, I will remember it.',
      'What is my number?',
      `Your number is ${number}.`,
      `The number of the user is ${number}.`,
      'number',
    ],
  ]
  const [said, reply, question, answer, system, what] = random.pick(kinds)
  return {
    told: exchange(said, reply, `The user tells me the ${what}. I keep it.`),
    asked: exchange(question, answer, `The user told me the ${what}.`),
    system,
  }
}
