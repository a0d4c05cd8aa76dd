import { type Fact, factsOf } from './fact.ts'

const capitals = `France:Paris, Germany:Berlin, Italy:Rome, Spain:Madrid, Portugal:Lisbon, Austria:Vienna, Belgium:Brussels,
Poland:Warsaw, Hungary:Budapest, Greece:Athens, Sweden:Stockholm, Norway:Oslo, Denmark:Copenhagen, Finland:Helsinki,
Iceland:Reykjavik, Ireland:Dublin, Russia:Moscow, Ukraine:Kyiv, Romania:Bucharest, Bulgaria:Sofia, Serbia:Belgrade,
Croatia:Zagreb, Slovenia:Ljubljana, Slovakia:Bratislava, Estonia:Tallinn, Latvia:Riga, Lithuania:Vilnius, Switzerland:Bern,
Japan:Tokyo, China:Beijing, India:New Delhi, Thailand:Bangkok, Vietnam:Hanoi, Indonesia:Jakarta, Malaysia:Kuala Lumpur,
South Korea:Seoul, Mongolia:Ulaanbaatar, Nepal:Kathmandu, Pakistan:Islamabad, Bangladesh:Dhaka, Iran:Tehran, Iraq:Baghdad,
Turkey:Ankara, Syria:Damascus, Lebanon:Beirut, Jordan:Amman, Saudi Arabia:Riyadh, Qatar:Doha, Egypt:Cairo, Morocco:Rabat,
Algeria:Algiers, Tunisia:Tunis, Libya:Tripoli, Sudan:Khartoum, Ethiopia:Addis Ababa, Kenya:Nairobi, Uganda:Kampala,
Ghana:Accra, Nigeria:Abuja, Senegal:Dakar, Angola:Luanda, Zambia:Lusaka, Zimbabwe:Harare, Madagascar:Antananarivo,
Canada:Ottawa, Mexico:Mexico City, Cuba:Havana, Jamaica:Kingston, Panama:Panama City, Costa Rica:San José, Brazil:Brasília,
Argentina:Buenos Aires, Chile:Santiago, Peru:Lima, Colombia:Bogotá, Venezuela:Caracas, Ecuador:Quito, Uruguay:Montevideo,
Paraguay:Asunción, Australia:Canberra, New Zealand:Wellington, Fiji:Suva, the United States:Washington,
the United Kingdom:London, the Netherlands:Amsterdam, the Philippines:Manila`

const homes = `Paris:France, Berlin:Germany, Rome:Italy, Madrid:Spain, Lisbon:Portugal, Vienna:Austria, Warsaw:Poland,
Budapest:Hungary, Athens:Greece, Stockholm:Sweden, Oslo:Norway, Copenhagen:Denmark, Helsinki:Finland, Dublin:Ireland,
Moscow:Russia, Kyiv:Ukraine, Tokyo:Japan, Beijing:China, Bangkok:Thailand, Hanoi:Vietnam, Seoul:South Korea,
Cairo:Egypt, Rabat:Morocco, Nairobi:Kenya, Ottawa:Canada, Havana:Cuba, Lima:Peru, Santiago:Chile, Canberra:Australia,
Wellington:New Zealand`

const continents = `France:Europe, Germany:Europe, Italy:Europe, Spain:Europe, Poland:Europe, Norway:Europe, Greece:Europe,
Japan:Asia, China:Asia, India:Asia, Thailand:Asia, Vietnam:Asia, Nepal:Asia, Iran:Asia, Egypt:Africa, Kenya:Africa,
Nigeria:Africa, Morocco:Africa, Ghana:Africa, Zambia:Africa, Canada:North America, Mexico:North America, Cuba:North America,
Brazil:South America, Argentina:South America, Peru:South America, Chile:South America, Colombia:South America`

const currencies = `Japan:yen, China:yuan, India:rupee, Russia:rouble, Poland:zloty, Sweden:krona, Hungary:forint,
Switzerland:franc, Mexico:peso, Brazil:real, Thailand:baht, Vietnam:dong, South Korea:won, Turkey:lira, Israel:shekel,
South Africa:rand, Canada:dollar, Australia:dollar, the United States:dollar, the United Kingdom:pound, France:euro,
Germany:euro, Italy:euro, Spain:euro, Nigeria:naira, Kenya:shilling, Ukraine:hryvnia, Peru:sol`

const languages = `Brazil:Portuguese, Mexico:Spanish, Argentina:Spanish, Austria:German, Germany:German, France:French,
Italy:Italian, Japan:Japanese, Poland:Polish, Russia:Russian, Greece:Greek, Turkey:Turkish, Sweden:Swedish, Norway:Norwegian,
Denmark:Danish, Hungary:Hungarian, Portugal:Portuguese, Egypt:Arabic, Iran:Persian, Thailand:Thai, Vietnam:Vietnamese,
Australia:English, the United Kingdom:English, Cuba:Spanish, Peru:Spanish`

const landmarks = `the Eiffel Tower:Paris, the Colosseum:Rome, Big Ben:London, the Statue of Liberty:New York,
the Taj Mahal:Agra, the Sagrada Família:Barcelona, the Brandenburg Gate:Berlin, the Kremlin:Moscow, the Parthenon:Athens,
the Louvre:Paris, Central Park:New York, the Golden Gate Bridge:San Francisco`

const geography: [string[], string, string, string][] = [
  [
    ['What is the largest ocean?', 'Which ocean is the largest?', 'What is the biggest ocean on Earth?'],
    'The largest ocean is the Pacific Ocean.',
    'Pacific',
    'Of all the oceans the Pacific is the largest.',
  ],
  [
    ['What is the longest river in Africa?', 'Which river is the longest in Africa?'],
    'The longest river in Africa is the Nile.',
    'Nile',
    'In Africa the longest river is the Nile.',
  ],
  [
    ['What is the longest river in South America?', 'Which river is the longest in South America?'],
    'The longest river in South America is the Amazon.',
    'Amazon',
    'In South America the longest river is the Amazon.',
  ],
  [
    [
      'What is the highest mountain?',
      'Which mountain is the highest?',
      'What is the tallest mountain in the world?',
    ],
    'The highest mountain is Mount Everest.',
    'Everest',
    'The highest mountain on Earth is Mount Everest.',
  ],
  [
    [
      'What is the largest country?',
      'Which country is the largest?',
      'What is the biggest country in the world?',
    ],
    'The largest country by area is Russia.',
    'Russia',
    'By area the largest country is Russia.',
  ],
  [
    ['What is the smallest country?', 'Which country is the smallest?'],
    'The smallest country is Vatican City.',
    'Vatican',
    'The smallest country is Vatican City.',
  ],
  [
    ['What is the largest continent?', 'Which continent is the largest?'],
    'The largest continent is Asia.',
    'Asia',
    'Of the seven continents Asia is the largest.',
  ],
  [
    ['What is the coldest continent?', 'Which continent is the coldest?'],
    'The coldest continent is Antarctica.',
    'Antarctica',
    'Ice covers Antarctica. It is the coldest continent.',
  ],
  [
    ['What is the largest desert with sand?', 'What is the largest hot desert?'],
    'The largest hot desert is the Sahara.',
    'Sahara',
    'The largest hot desert is the Sahara in Africa.',
  ],
  [
    ['How many continents are there?', 'How many continents does the Earth have?'],
    'There are seven continents.',
    'seven',
    'The user asks for the number of continents. It is seven.',
  ],
  [
    ['What river flows through London?', 'Which river runs through London?'],
    'The Thames flows through London.',
    'Thames',
    'The river of London is the Thames.',
  ],
  [
    ['What river flows through Paris?', 'Which river runs through Paris?'],
    'The Seine flows through Paris.',
    'Seine',
    'The river of Paris is the Seine.',
  ],
  [
    ['What river flows through Vienna?', 'Which river runs through Vienna?'],
    'The Danube flows through Vienna.',
    'Danube',
    'The river of Vienna is the Danube.',
  ],
  [
    ['What river flows through Cairo?', 'Which river runs through Cairo?'],
    'The Nile flows through Cairo.',
    'Nile',
    'The river of Cairo is the Nile.',
  ],
  [
    ['What is the highest mountain in Europe?', 'Which mountain is the highest in Europe?'],
    'The highest mountain in Europe is Mount Elbrus.',
    'Elbrus',
    'In Europe the highest mountain is Mount Elbrus.',
  ],
  [
    ['What is the highest mountain in Africa?', 'Which mountain is the highest in Africa?'],
    'The highest mountain in Africa is Kilimanjaro.',
    'Kilimanjaro',
    'In Africa the highest mountain is Kilimanjaro.',
  ],
]

/** Capitals, continents, currencies, languages, landmarks and a little geography. */
export const places: Fact[] = [
  ...factsOf({
    pairs: capitals,
    questions: [
      'What is the capital of {k}?',
      "What's the capital of {k}?",
      'Which city is the capital of {k}?',
      'Name the capital of {k}.',
      'Tell me the capital of {k}.',
      'capital of {k}',
      'Do you know the capital of {k}?',
      'What is the capital city of {k}?',
    ],
    answer: 'The capital of {k} is {v}.',
    think: 'The user asks for the capital of {k}. It is {v}.',
    json: ['country', 'capital'],
  }),
  ...factsOf({
    pairs: homes,
    questions: [
      '{k} is the capital of which country?',
      'Which country has {k} as its capital?',
      'What country is {k} the capital of?',
      'In which country is {k}?',
    ],
    answer: '{k} is the capital of {v}.',
    think: 'The city is {k}. It is the capital of {v}.',
    json: ['city', 'country'],
  }),
  ...factsOf({
    pairs: continents,
    questions: [
      'Which continent is {k} in?',
      'What continent is {k} in?',
      'On which continent is {k}?',
      'On what continent does {k} lie?',
    ],
    answer: '{k} is in {v}.',
    think: 'The user asks for the continent of {k}. It is {v}.',
    json: ['country', 'continent'],
  }),
  ...factsOf({
    pairs: currencies,
    questions: [
      'What is the currency of {k}?',
      'Which currency is used in {k}?',
      'What money do people use in {k}?',
      "What's the currency of {k}?",
      'Name the currency of {k}.',
    ],
    answer: 'The currency of {k} is the {v}.',
    think: 'The user asks for the currency of {k}. It is the {v}.',
    json: ['country', 'currency'],
  }),
  ...factsOf({
    pairs: languages,
    questions: [
      'What language is spoken in {k}?',
      'Which language do people speak in {k}?',
      'What do people speak in {k}?',
      'What is the language of {k}?',
    ],
    answer: 'People in {k} speak {v}.',
    think: 'The user asks for the language of {k}. It is {v}.',
    json: ['country', 'language'],
  }),
  ...factsOf({
    pairs: landmarks,
    questions: ['Where is {k}?', 'In which city is {k}?', 'Which city has {k}?'],
    answer: '{K} is in {v}.',
    think: 'The user asks where {k} is. It is in {v}.',
    json: ['landmark', 'city'],
  }),
  ...geography.map(([questions, answer, keyword, think]) => ({ questions, answer, keyword, think })),
]
