import { type Fact, factsOf } from './fact.ts'

const symbols = `hydrogen:H, helium:He, lithium:Li, carbon:C, nitrogen:N, oxygen:O, fluorine:F, neon:Ne, sodium:Na, magnesium:Mg,
aluminium:Al, silicon:Si, phosphorus:P, sulfur:S, chlorine:Cl, argon:Ar, potassium:K, calcium:Ca, titanium:Ti, iron:Fe,
nickel:Ni, copper:Cu, zinc:Zn, silver:Ag, tin:Sn, iodine:I, tungsten:W, platinum:Pt, gold:Au, mercury:Hg, lead:Pb, uranium:U,
cobalt:Co, manganese:Mn, bromine:Br, barium:Ba`

const elements = `He:helium, Li:lithium, Ne:neon, Na:sodium, Mg:magnesium, Al:aluminium, Cl:chlorine, Ca:calcium, Fe:iron,
Ni:nickel, Cu:copper, Zn:zinc, Ag:silver, Sn:tin, Pt:platinum, Au:gold, Hg:mercury, Pb:lead`

const atomicNumbers = `hydrogen:1, helium:2, lithium:3, beryllium:4, boron:5, carbon:6, nitrogen:7, oxygen:8, fluorine:9, neon:10,
sodium:11, magnesium:12, iron:26, copper:29, silver:47, gold:79`

const formulas = `water:H2O, salt:NaCl, carbon dioxide:CO2, carbon monoxide:CO, methane:CH4, ammonia:NH3, ozone:O3`

const planets = `first:Mercury, second:Venus, third:Earth, fourth:Mars, fifth:Jupiter, sixth:Saturn, seventh:Uranus, eighth:Neptune`

const units = `minutes in an hour:60, seconds in a minute:60, hours in a day:24, days in a week:7, days in a year:365,
months in a year:12, weeks in a year:52, years in a century:100, years in a decade:10, metres in a kilometre:1000,
centimetres in a metre:100, millimetres in a centimetre:10, grams in a kilogram:1000, inches in a foot:12, feet in a yard:3,
bits in a byte:8, letters in the alphabet:26, degrees in a circle:360, cents in a dollar:100, players in a football team:11,
strings on a guitar:6, strings on a violin:4, cards in a deck:52, planets in the solar system:8, colours in a rainbow:7,
bytes in a kibibyte:1024, teeth in an adult mouth:32, bones in the human body:206, legs on a chair:4, wheels on a bicycle:2`

const sides = `triangle:three, square:four, rectangle:four, pentagon:five, hexagon:six, heptagon:seven, octagon:eight`

const legs = `dog:four, cat:four, horse:four, cow:four, spider:eight, ant:six, bee:six, chicken:two, duck:two, octopus:eight,
elephant:four, snake:no`

const sounds = `dog:barks, cat:meows, cow:moos, duck:quacks, sheep:bleats, horse:neighs, lion:roars, bee:buzzes, wolf:howls,
frog:croaks, snake:hisses, pig:oinks, mouse:squeaks, owl:hoots`

const young = `dog:puppy, cat:kitten, cow:calf, horse:foal, sheep:lamb, goat:kid, duck:duckling, chicken:chick, pig:piglet,
bear:cub, lion:cub, frog:tadpole, goose:gosling, swan:cygnet, deer:fawn, kangaroo:joey`

const classes = `whale:mammal, dolphin:mammal, bat:mammal, dog:mammal, elephant:mammal, tiger:mammal, eagle:bird, penguin:bird,
owl:bird, sparrow:bird, ostrich:bird, shark:fish, salmon:fish, tuna:fish, snake:reptile, lizard:reptile, crocodile:reptile,
turtle:reptile, frog:amphibian, toad:amphibian, ant:insect, bee:insect, butterfly:insect, beetle:insect`

const foods = `bees:honey, cows:milk, chickens:eggs, spiders:webs, silkworms:silk, sheep:wool`

const questions: [string[], string, string, string][] = [
  [
    [
      'Why is the sky blue?',
      'What makes the sky blue?',
      'Explain why the sky is blue.',
      'Tell me why the sky is blue.',
    ],
    'The sky is blue because of Rayleigh scattering: air scatters blue light more than red light.',
    'scatter',
    'The user asks about the blue sky. Air scatters short wavelengths more. Blue light is short.',
  ],
  [
    ['Why is grass green?', 'What makes grass green?', 'Why are leaves green?'],
    'Plants are green because of chlorophyll, which reflects green light.',
    'chlorophyll',
    'Plants hold chlorophyll. It reflects green light.',
  ],
  [
    ['Why is the sea salty?', 'Why is the ocean salty?'],
    'The sea is salty because rivers carry minerals from rocks into it.',
    'minerals',
    'Rain washes minerals from rocks. Rivers carry them into the sea.',
  ],
  [
    ['What is photosynthesis?', 'Explain photosynthesis.', 'How do plants make food?'],
    'Photosynthesis is how plants use light to make sugar from water and carbon dioxide.',
    'light',
    'Plants take light, water and carbon dioxide and make sugar.',
  ],
  [
    ['What is gravity?', 'Explain gravity.'],
    'Gravity is the force that pulls masses towards each other.',
    'force',
    'Gravity is a force between masses.',
  ],
  [
    ['What is an atom?', 'Explain what an atom is.'],
    'An atom is the smallest piece of an element, with a nucleus and electrons.',
    'nucleus',
    'Elements are made of atoms. An atom has a nucleus and electrons.',
  ],
  [
    ['What is DNA?', 'Explain DNA.'],
    'DNA is the molecule that carries the genes of living things.',
    'genes',
    'DNA is a molecule. It carries genes.',
  ],
  [
    ['What is a computer?', 'Explain what a computer is.'],
    'A computer is a machine that follows instructions to work with data.',
    'machine',
    'A computer is a machine for data.',
  ],
  [
    ['What is a GPU?', 'Explain what a GPU is.', 'What does a GPU do?'],
    'A GPU is a processor that does many calculations at the same time.',
    'processor',
    'GPU means graphics processing unit. It calculates in parallel.',
  ],
  [
    ['What is a language model?', 'Explain what a language model is.'],
    'A language model is a program that predicts the next piece of a text.',
    'predicts',
    'A language model reads text and predicts what comes next.',
  ],
  [
    ['What is the speed of light?', 'How fast is light?'],
    'The speed of light is about 300000 kilometres per second.',
    '300000',
    'Light travels about 300000 kilometres in a second.',
  ],
  [
    ['At what temperature does water boil?', 'When does water boil?', 'What is the boiling point of water?'],
    'Water boils at 100 degrees Celsius.',
    '100',
    'The boiling point of water is 100 degrees Celsius.',
  ],
  [
    [
      'At what temperature does water freeze?',
      'When does water freeze?',
      'What is the freezing point of water?',
    ],
    'Water freezes at 0 degrees Celsius.',
    '0',
    'The freezing point of water is 0 degrees Celsius.',
  ],
  [
    [
      'What is the largest planet?',
      'Which planet is the largest?',
      'What is the biggest planet in the solar system?',
    ],
    'The largest planet is Jupiter.',
    'Jupiter',
    'Of the eight planets Jupiter is the largest.',
  ],
  [
    ['What is the smallest planet?', 'Which planet is the smallest?'],
    'The smallest planet is Mercury.',
    'Mercury',
    'Of the eight planets Mercury is the smallest.',
  ],
  [
    ['Which planet has rings?', 'What planet is known for its rings?'],
    'Saturn is known for its rings.',
    'Saturn',
    'The planet with the great rings is Saturn.',
  ],
  [
    ['Which planet is called the red planet?', 'What is the red planet?'],
    'Mars is called the red planet.',
    'Mars',
    'Rust makes Mars red.',
  ],
  [
    ['What is the star nearest to the Earth?', 'Which star is nearest to the Earth?'],
    'The star nearest to the Earth is the Sun.',
    'Sun',
    'The Sun is a star and it is the nearest.',
  ],
  [
    ['What goes around the Earth?', 'What is the name of the natural satellite of the Earth?'],
    'The Moon goes around the Earth.',
    'Moon',
    'The Earth has one natural satellite, the Moon.',
  ],
  [
    ['What is the largest animal?', 'Which animal is the largest?', 'What is the biggest animal?'],
    'The largest animal is the blue whale.',
    'whale',
    'Of all animals the blue whale is the largest.',
  ],
  [
    ['What is the fastest land animal?', 'Which land animal is the fastest?'],
    'The fastest land animal is the cheetah.',
    'cheetah',
    'On land the cheetah runs fastest.',
  ],
  [
    ['What is the tallest animal?', 'Which animal is the tallest?'],
    'The tallest animal is the giraffe.',
    'giraffe',
    'A giraffe has a long neck. It is the tallest.',
  ],
  [
    ['What is the hardest natural material?', 'What is the hardest mineral?'],
    'The hardest natural material is diamond.',
    'diamond',
    'Diamond is the hardest.',
  ],
  [
    ['What gas do we breathe in to live?', 'Which gas do humans need to breathe?'],
    'Humans need oxygen to breathe.',
    'oxygen',
    'Our cells need oxygen.',
  ],
  [
    ['What is the most common gas in air?', 'What is air mostly made of?'],
    'Air is mostly nitrogen.',
    'nitrogen',
    'About 78 percent of air is nitrogen.',
  ],
  [
    ['What organ pumps blood?', 'Which organ pumps the blood?'],
    'The heart pumps the blood.',
    'heart',
    'The heart is the pump of the body.',
  ],
  [
    ['Where do fish live?'],
    'Fish live in water.',
    'water',
    'Fish breathe with gills, so they live in water.',
  ],
  [
    ['What do pandas eat?', 'What does a panda eat?'],
    'Pandas eat bamboo.',
    'bamboo',
    'The food of pandas is bamboo.',
  ],
  [
    ['What is ice made of?', 'What is ice?'],
    'Ice is frozen water.',
    'water',
    'Ice forms when water freezes.',
  ],
  [['What is the square root of 81?'], 'The square root of 81 is 9.', '9', '9 times 9 is 81.'],
  [['What is the square root of 64?'], 'The square root of 64 is 8.', '8', '8 times 8 is 64.'],
  [['What is the square root of 49?'], 'The square root of 49 is 7.', '7', '7 times 7 is 49.'],
  [['What is the square root of 144?'], 'The square root of 144 is 12.', '12', '12 times 12 is 144.'],
  [
    ['What is pi?', 'What is the value of pi?'],
    'Pi is about 3.14159.',
    '3.14',
    'Pi is the ratio of the circumference to the diameter of a circle.',
  ],
  [
    ['What causes tides?', 'Why are there tides?'],
    'Tides are caused by the gravity of the Moon and the Sun.',
    'Moon',
    'The Moon pulls on the sea.',
  ],
  [
    ['Why do we have seasons?', 'What causes the seasons?'],
    'Seasons happen because the axis of the Earth is tilted.',
    'tilted',
    'The axis of the Earth is tilted, so light changes over the year.',
  ],
  [
    ['What is a rainbow?', 'How does a rainbow form?'],
    'A rainbow forms when drops of rain split sunlight into colours.',
    'sunlight',
    'Drops of rain bend light. The colours split.',
  ],
]

const article = (text: string): string => text.replace(/\ba (?=[aeo])/g, 'an ')

/** Chemistry, astronomy, animals, quantities and short explanations. */
export const science: Fact[] = [
  ...factsOf({
    pairs: symbols,
    questions: [
      'What is the chemical symbol for {k}?',
      'What is the symbol of {k}?',
      'Which symbol does {k} have?',
      'chemical symbol of {k}',
      "What's the symbol for {k}?",
      'Give me the chemical symbol of {k}.',
    ],
    answer: 'The chemical symbol for {k} is {v}.',
    think: 'The user asks for the symbol of {k}. It is {v}.',
    json: ['element', 'symbol'],
  }),
  ...factsOf({
    pairs: elements,
    questions: [
      'Which element has the symbol {k}?',
      'What does the chemical symbol {k} stand for?',
      'What element is {k}?',
    ],
    answer: '{k} is the symbol for {v}.',
    think: 'The symbol is {k}. It stands for {v}.',
    json: ['symbol', 'element'],
  }),
  ...factsOf({
    pairs: atomicNumbers,
    questions: [
      'What is the atomic number of {k}?',
      'Which atomic number does {k} have?',
      'atomic number of {k}',
    ],
    answer: 'The atomic number of {k} is {v}.',
    think: 'The user asks for the atomic number of {k}. It is {v}.',
    json: ['element', 'atomic_number'],
  }),
  ...factsOf({
    pairs: formulas,
    questions: [
      'What is the chemical formula of {k}?',
      'What is the formula for {k}?',
      'chemical formula of {k}',
    ],
    answer: 'The chemical formula of {k} is {v}.',
    think: 'The user asks for the formula of {k}. It is {v}.',
    json: ['substance', 'formula'],
  }),
  ...factsOf({
    pairs: planets,
    questions: [
      'What is the {k} planet from the Sun?',
      'Which planet is the {k} from the Sun?',
      'Name the {k} planet from the Sun.',
    ],
    answer: 'The {k} planet from the Sun is {v}.',
    think: 'I count the planets from the Sun. The {k} is {v}.',
    json: ['position', 'planet'],
  }),
  ...factsOf({
    pairs: units,
    questions: ['How many {k}?', 'How many {k} are there?', 'Tell me how many {k} there are.'],
    answer: 'There are {v} {k}.',
    think: 'The user asks for a number of {k}. It is {v}.',
  }),
  ...factsOf({
    pairs: sides,
    questions: [
      'How many sides does a {k} have?',
      'How many sides are there on a {k}?',
      'Number of sides of a {k}?',
    ],
    answer: 'A {k} has {v} sides.',
    think: 'A {k} is a shape with {v} sides.',
    json: ['shape', 'sides'],
  }),
  ...factsOf({
    pairs: legs,
    questions: ['How many legs does a {k} have?', 'How many legs has a {k}?', 'Number of legs of a {k}?'],
    answer: 'A {k} has {v} legs.',
    think: 'A {k} is an animal with {v} legs.',
    json: ['animal', 'legs'],
  }),
  ...factsOf({
    pairs: sounds,
    questions: [
      'What sound does a {k} make?',
      'What does a {k} do to make a sound?',
      'How does a {k} sound?',
    ],
    answer: 'A {k} {v}.',
    think: 'The user asks for the sound of a {k}. It {v}.',
    json: ['animal', 'sound'],
  }),
  ...factsOf({
    pairs: young,
    questions: [
      'What is a young {k} called?',
      'What do you call a baby {k}?',
      'What is the name for a young {k}?',
    ],
    answer: 'A young {k} is called a {v}.',
    think: 'The user asks for the young of a {k}. It is a {v}.',
    json: ['animal', 'young'],
  }),
  ...factsOf({
    pairs: classes,
    questions: [
      'What kind of animal is a {k}?',
      'What class of animal is a {k}?',
      'What type of animal is a {k}?',
    ],
    answer: 'A {k} is a {v}.',
    think: 'The user asks what a {k} is. It is a {v}.',
    json: ['animal', 'class'],
  }),
  ...factsOf({
    pairs: foods,
    questions: ['What do {k} make?', 'What do we get from {k}?'],
    answer: '{K} give us {v}.',
    think: 'The user asks what comes from {k}. It is {v}.',
  }),
  ...questions.map(([asked, answer, keyword, think]) => ({ questions: asked, answer, keyword, think })),
].map((fact) => ({
  ...fact,
  questions: fact.questions.map(article),
  answer: article(fact.answer),
  think: article(fact.think),
}))
