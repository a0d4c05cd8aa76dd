import { type Fact, factsOf } from './fact.ts'

const authors = `Hamlet:William Shakespeare, Macbeth:William Shakespeare, Romeo and Juliet:William Shakespeare, Don Quixote:Miguel de Cervantes,
War and Peace:Leo Tolstoy, Anna Karenina:Leo Tolstoy, Crime and Punishment:Fyodor Dostoevsky, Faust:Johann Wolfgang von Goethe,
Pride and Prejudice:Jane Austen, Emma:Jane Austen, Frankenstein:Mary Shelley, Dracula:Bram Stoker, Oliver Twist:Charles Dickens,
Great Expectations:Charles Dickens, Moby Dick:Herman Melville, The Odyssey:Homer, The Iliad:Homer, The Hobbit:J. R. R. Tolkien,
Alice in Wonderland:Lewis Carroll, Treasure Island:Robert Louis Stevenson, The Trial:Franz Kafka, Ulysses:James Joyce,
Les Misérables:Victor Hugo, The Time Machine:H. G. Wells, Animal Farm:George Orwell, Peter Pan:J. M. Barrie,
The Little Prince:Antoine de Saint-Exupéry, Pinocchio:Carlo Collodi, The Divine Comedy:Dante Alighieri, Jane Eyre:Charlotte Brontë`

const painters = `the Mona Lisa:Leonardo da Vinci, The Starry Night:Vincent van Gogh, Guernica:Pablo Picasso, The Scream:Edvard Munch,
The Night Watch:Rembrandt, Girl with a Pearl Earring:Johannes Vermeer, The Kiss:Gustav Klimt`

const composers = `The Magic Flute:Mozart, the Moonlight Sonata:Beethoven, The Four Seasons:Vivaldi, Swan Lake:Tchaikovsky, Carmen:Bizet,
Aida:Verdi, the Brandenburg Concertos:Bach`

const inventors = `the telephone:Alexander Graham Bell, the printing press:Johannes Gutenberg, dynamite:Alfred Nobel,
the World Wide Web:Tim Berners-Lee, the diesel engine:Rudolf Diesel, the battery:Alessandro Volta`

const discoverers = `penicillin:Alexander Fleming, radium:Marie Curie, X-rays:Wilhelm Röntgen, relativity:Albert Einstein,
evolution:Charles Darwin, the law of gravity:Isaac Newton`

const years = `did the Second World War end:1945, did the First World War begin:1914, did the Berlin Wall fall:1989,
did people first land on the Moon:1969, did the Titanic sink:1912, did Columbus reach America:1492, did the French Revolution begin:1789`

const colours = `grass:green, snow:white, coal:black, blood:red, a lemon:yellow, a banana:yellow, a tomato:red, the sky:blue,
a carrot:orange, a strawberry:red, milk:white, chocolate:brown, a flamingo:pink, a polar bear:white, a frog:green, the sun:yellow,
a crow:black, an elephant:grey, a plum:purple, a ruby:red, an emerald:green, a sapphire:blue`

const mixtures = `red and yellow:orange, blue and yellow:green, red and blue:purple, red and white:pink, black and white:grey`

const opposites = `hot:cold, big:small, up:down, fast:slow, light:dark, wet:dry, old:young, rich:poor, hard:soft, full:empty, open:closed,
happy:sad, loud:quiet, near:far, early:late, clean:dirty, strong:weak, day:night, left:right, love:hate, true:false, high:low,
long:short, heavy:light, good:bad, win:lose, buy:sell, begin:end, inside:outside, sweet:sour`

const plurals = `mouse:mice, child:children, foot:feet, tooth:teeth, man:men, woman:women, goose:geese, sheep:sheep, leaf:leaves,
wolf:wolves, city:cities, box:boxes, person:people, knife:knives`

const pasts = `go:went, eat:ate, see:saw, run:ran, write:wrote, take:took, give:gave, think:thought, buy:bought, sing:sang, swim:swam,
drive:drove`

const hellos = `Japanese:こんにちは, Chinese:你好, Korean:안녕하세요, Russian:привет, French:bonjour, German:hallo, Spanish:¡hola!, Italian:ciao,
Portuguese:olá, Greek:γειά σου, Polish:cześć, Swedish:hej, Arabic:مرحبا, Hindi:नमस्ते, Turkish:merhaba`

const thanks = `Japanese:ありがとう, Chinese:谢谢, Russian:спасибо, French:merci, German:danke, Spanish:gracias, Italian:grazie,
Portuguese:obrigado, Polish:dziękuję, Swedish:tack`

const french = `water:eau, bread:pain, dog:chien, cat:chat, house:maison, red:rouge, summer:été, school:école, coffee:café`
const german = `water:Wasser, bread:Brot, dog:Hund, cat:Katze, house:Haus, red:rot, green:grün, beautiful:schön, street:Straße`
const spanish = `water:agua, bread:pan, dog:perro, cat:gato, house:casa, red:rojo, tomorrow:mañana, year:año`

const nextDays = `Monday:Tuesday, Tuesday:Wednesday, Wednesday:Thursday, Thursday:Friday, Friday:Saturday, Saturday:Sunday, Sunday:Monday`
const nextMonths = `January:February, February:March, March:April, April:May, May:June, June:July, July:August, August:September,
September:October, October:November, November:December, December:January`
const roman = `1:I, 2:II, 3:III, 4:IV, 5:V, 6:VI, 7:VII, 8:VIII, 9:IX, 10:X, 50:L, 100:C, 500:D, 1000:M`
const emoji = `a cat:🐱, a dog:🐶, a heart:❤️, a rocket:🚀, the sun:☀️, a smile:😀, a sheep:🐑, a tree:🌳, a pizza:🍕, a fire:🔥, a fish:🐟, a star:⭐`

/** Books, art, discoveries, years, colours, words and greetings in several scripts. */
export const culture: Fact[] = [
  ...factsOf({
    pairs: authors,
    questions: [
      'Who wrote {k}?',
      'Who is the author of {k}?',
      'Name the author of {k}.',
      'Which author wrote {k}?',
      '{k} was written by whom?',
    ],
    answer: '{k} was written by {v}.',
    think: 'The user asks for the author of {k}. It is {v}.',
    json: ['title', 'author'],
  }),
  ...factsOf({
    pairs: painters,
    questions: ['Who painted {k}?', 'Which artist painted {k}?', 'Name the painter of {k}.'],
    answer: '{K} was painted by {v}.',
    think: 'The user asks for the painter of {k}. It is {v}.',
    json: ['painting', 'painter'],
  }),
  ...factsOf({
    pairs: composers,
    questions: ['Who composed {k}?', 'Which composer wrote {k}?', 'Name the composer of {k}.'],
    answer: '{K} was composed by {v}.',
    think: 'The user asks for the composer of {k}. It is {v}.',
    json: ['work', 'composer'],
  }),
  ...factsOf({
    pairs: inventors,
    questions: ['Who invented {k}?', 'Name the inventor of {k}.', 'Who was the inventor of {k}?'],
    answer: '{K} was invented by {v}.',
    think: 'The user asks for the inventor of {k}. It is {v}.',
    json: ['invention', 'inventor'],
  }),
  ...factsOf({
    pairs: discoverers,
    questions: ['Who discovered {k}?', 'Which scientist is known for {k}?', 'Who found {k}?'],
    answer: '{v} is known for {k}.',
    think: 'The user asks about {k}. The scientist is {v}.',
    json: ['discovery', 'scientist'],
  }),
  ...factsOf({
    pairs: years,
    questions: ['When {k}?', 'In which year {k}?', 'In what year {k}?'],
    answer: 'It was in {v}.',
    think: 'The user asks for a year. It is {v}.',
  }),
  ...factsOf({
    pairs: colours,
    questions: [
      'What colour is {k}?',
      'What color is {k}?',
      'Which colour does {k} have?',
      'Tell me the colour of {k}.',
    ],
    answer: '{K} is {v}.',
    think: 'The user asks for the colour of {k}. It is {v}.',
    json: ['thing', 'colour'],
  }),
  ...factsOf({
    pairs: mixtures,
    questions: [
      'What colour do you get when you mix {k}?',
      'What do {k} make?',
      'Mix {k}. Which colour is it?',
    ],
    answer: 'Mixing {k} makes {v}.',
    think: 'I mix {k}. The result is {v}.',
  }),
  ...factsOf({
    pairs: opposites,
    questions: [
      'What is the opposite of {k}?',
      "What's the opposite of {k}?",
      'Name the opposite of {k}.',
      'opposite of {k}',
    ],
    answer: 'The opposite of {k} is {v}.',
    think: 'The word is {k}. Its opposite is {v}.',
    json: ['word', 'opposite'],
  }),
  ...factsOf({
    pairs: plurals,
    questions: ['What is the plural of {k}?', "What's the plural of {k}?", 'plural of {k}'],
    answer: 'The plural of {k} is {v}.',
    think: 'The word is {k}. Its plural is {v}.',
    json: ['singular', 'plural'],
  }),
  ...factsOf({
    pairs: pasts,
    questions: ['What is the past tense of {k}?', "What's the past tense of {k}?", 'past tense of {k}'],
    answer: 'The past tense of {k} is {v}.',
    think: 'The verb is {k}. Its past tense is {v}.',
    json: ['verb', 'past'],
  }),
  ...factsOf({
    pairs: hellos,
    questions: ['Say hello in {k}.', 'How do you say hello in {k}?', 'What is hello in {k}?'],
    answer: '{v}',
    think: 'The user wants a greeting in {k}.',
    json: ['language', 'hello'],
  }),
  ...factsOf({
    pairs: thanks,
    questions: ['Say thank you in {k}.', 'How do you say thank you in {k}?', 'What is thank you in {k}?'],
    answer: '{v}',
    think: 'The user wants to say thanks in {k}.',
    json: ['language', 'thanks'],
  }),
  ...(
    [
      [french, 'French'],
      [german, 'German'],
      [spanish, 'Spanish'],
    ] as const
  ).flatMap(([pairs, language]) =>
    factsOf({
      pairs,
      questions: [
        `What is the ${language} word for {k}?`,
        `How do you say {k} in ${language}?`,
        `Translate {k} to ${language}.`,
      ],
      answer: `The ${language} word for {k} is {v}.`,
      think: `The user wants {k} in ${language}. It is {v}.`,
      json: ['english', language.toLowerCase()],
    }),
  ),
  ...factsOf({
    pairs: nextDays,
    questions: ['Which day comes after {k}?', 'What day comes after {k}?', 'What is the day after {k}?'],
    answer: 'The day after {k} is {v}.',
    think: 'After {k} comes {v}.',
    json: ['day', 'next'],
  }),
  ...factsOf({
    pairs: nextMonths,
    questions: [
      'Which month comes after {k}?',
      'What month comes after {k}?',
      'What is the month after {k}?',
    ],
    answer: 'The month after {k} is {v}.',
    think: 'After {k} comes {v}.',
    json: ['month', 'next'],
  }),
  ...factsOf({
    pairs: roman,
    questions: [
      'What is {k} in Roman numerals?',
      'Write {k} as a Roman numeral.',
      'What is the Roman numeral for {k}?',
    ],
    answer: '{k} in Roman numerals is {v}.',
    think: 'The number is {k}. In Roman numerals it is {v}.',
    json: ['number', 'roman'],
  }),
  ...factsOf({
    pairs: emoji,
    questions: ['Show me an emoji of {k}.', 'What is the emoji for {k}?', 'Give me the emoji of {k}.'],
    answer: 'Here it is: {v}',
    think: 'The user wants the emoji of {k}.',
  }),
]
