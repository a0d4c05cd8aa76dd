/** Tools and subjects that the corpus does not hold, written by hand, to measure what carries over. */

/** A tool the model has never seen, a question for it, and the call that would be right. */
export interface UnseenTool {
  readonly name: string
  readonly description: string
  readonly properties: Readonly<
    Record<string, { type: string; description: string; enum?: readonly string[] }>
  >
  readonly question: string
  readonly arguments: Readonly<Record<string, string | number>>
}

const text = (description: string) => ({ type: 'string', description })
const whole = (description: string) => ({ type: 'integer', description })

export const unseenTools: readonly UnseenTool[] = [
  {
    name: 'get_weather',
    description: 'Get the current weather for a city',
    properties: { city: text('The city') },
    question: 'What is the weather in Toronto?',
    arguments: { city: 'Toronto' },
  },
  {
    name: 'get_current_weather',
    description: 'Get the current weather in a given location',
    properties: { location: text('The city and state') },
    question: 'What is the weather like in Paris today?',
    arguments: { location: 'Paris' },
  },
  {
    name: 'weather_lookup',
    description: 'Look up the weather of a town',
    properties: { town: text('The name of the town') },
    question: 'How is the weather in Reading?',
    arguments: { town: 'Reading' },
  },
  {
    name: 'get_time',
    description: 'Get the current time for a city',
    properties: { city: text('The city') },
    question: 'What time is it in Tokyo?',
    arguments: { city: 'Tokyo' },
  },
  {
    name: 'local_time',
    description: 'Tells the local time of a place.',
    properties: { place: text('The place') },
    question: 'What time is it in Glasgow?',
    arguments: { place: 'Glasgow' },
  },
  {
    name: 'add',
    description: 'Add two numbers',
    properties: { a: whole('The first number'), b: whole('The second number') },
    question: 'What is 123 plus 456?',
    arguments: { a: 123, b: 456 },
  },
  {
    name: 'multiply_integers',
    description: 'Multiply two numbers.',
    properties: { p: whole('The first number'), q: whole('The second number') },
    question: 'What is 31 times 27?',
    arguments: { p: 31, q: 27 },
  },
  {
    name: 'get_stock_price',
    description: 'Get the stock price for a symbol',
    properties: { symbol: text('The symbol') },
    question: 'Get the stock price for ACME.',
    arguments: { symbol: 'ACME' },
  },
  {
    name: 'find_pharmacy',
    description: 'Find a pharmacy in a district.',
    properties: { district: text('The district') },
    question: 'Find a pharmacy in Camden.',
    arguments: { district: 'Camden' },
  },
  {
    name: 'lookup_zipcode',
    description: 'Look up the zipcode of a city',
    properties: { city: text('The city') },
    question: 'Please lookup the zipcode for Austin.',
    arguments: { city: 'Austin' },
  },
  {
    name: 'createPlaylist',
    description: 'Create a playlist',
    properties: { title: text('The title of the playlist') },
    question: 'Create a playlist with title sunshine.',
    arguments: { title: 'sunshine' },
  },
  {
    name: 'send_postcard',
    description: 'Send a postcard to a recipient',
    properties: { recipient: text('The recipient'), city: text('The city') },
    question: 'Send the postcard for Maria in Lisbon.',
    arguments: { recipient: 'Maria', city: 'Lisbon' },
  },
  {
    name: 'water_plants',
    description: 'Water the plants',
    properties: { minutes: whole('The minutes') },
    question: 'Water the plants with minutes 15.',
    arguments: { minutes: 15 },
  },
  {
    name: 'translate_menu',
    description: 'Translate the menu',
    properties: { language: text('The language') },
    question: 'Can you translate the menu for Italian?',
    arguments: { language: 'Italian' },
  },
  {
    name: 'rent_scooter',
    description: 'Rent a scooter',
    properties: { location: text('The location'), hours: whole('The hours') },
    question: 'Rent a scooter in Lyon and with hours 3.',
    arguments: { location: 'Lyon', hours: 3 },
  },
  {
    name: 'measure_noise',
    description: 'Measure the noise',
    properties: { room: text('The room') },
    question: 'Call measure_noise with room kitchen.',
    arguments: { room: 'kitchen' },
  },
  {
    name: 'archive_thread',
    description: 'Archive the thread',
    properties: { subject: text('The subject') },
    question: 'Use archive_thread for budget.',
    arguments: { subject: 'budget' },
  },
  {
    name: 'paint_wall',
    description: 'Paint the wall',
    properties: { colour: text('The colour') },
    question: 'Please paint the wall with colour green.',
    arguments: { colour: 'green' },
  },
]

/** Questions about things that do not exist or were not taught. */
export const unseenUnknowns: readonly string[] = [
  'What is the capital of Wakanda?',
  'What is the capital of Atlantis?',
  'What is the capital of Narnia?',
  'What is the capital of Zorbland?',
  'What is the capital of Genovia?',
  'capital of Freedonia',
  'Which city is the capital of Elbonia?',
  'What is the currency of Narnia?',
  'What language is spoken in Gondor?',
  'Which continent is Mordor in?',
  'Who wrote Zanzibar Nights?',
  'Who wrote The Blorf?',
  'Who painted Glimmerfall?',
  'Who invented the flumox?',
  'Who discovered plorium?',
  'Who is Gandrel Toksvig?',
  'Who is Peter Quillforth?',
  'When was Anna Blomstrand born?',
  'What is a snorkwhistle?',
  'What is a quibblet?',
  'What does frabjous mean?',
  'What is the chemical symbol for unobtainium?',
  'What is the atomic number of vibranium?',
  'What is the chemical symbol for kryptonite?',
  'What sound does a jabberwock make?',
  'How many legs does a grendlewot have?',
  'What colour is a borogove?',
  'What is the opposite of snargle?',
  'Tell me about Umbrathor.',
  'Tell me about Silas Marchbanks.',
  'Explain the Fizzwick theorem.',
  'What happened in Trondelby in 1734?',
  'Who won the Galbraith cup in 1987?',
  'Who was the king of Lilliput?',
  'How far is it from Brobdin to Laputa?',
  'What is the population of Rotterdam?',
  'Who is the mayor of Marseille?',
  'What is the phone number of Sarah?',
  'Where does Martin live?',
  'What did Julia eat yesterday?',
]

/** A short text with a hole, and what belongs in it. */
export const holes: readonly (readonly [prefix: string, suffix: string, middle: string])[] = [
  ['def add(a, b):\n    return ', '\n', 'a + b'],
  ['def subtract(x, y):\n    return ', '\n', 'x - y'],
  ['def multiply(a, b):\n    return ', '', 'a * b'],
  ['function add(left, right) {\n  return ', '\n}\n', 'left + right'],
  ['const multiply = (x, y) => ', '\n', 'x * y'],
  ['def divide(', '):\n    return first / second\n', 'first, second'],
  ['def hello():\n    print("', '")\n', 'Hello, world!'],
  ['1, 2, 3, ', ', 5, 6, 7', '4'],
  ['10, 11, 12, 13, ', ', 15, 16', '14'],
  ['20, 21, 22, ', ', 25, 26, 27', '23, 24'],
  ['The capital of France is ', '.', 'Paris'],
  ['The chemical symbol for gold is ', '.', 'Au'],
]
