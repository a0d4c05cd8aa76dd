import type { Random } from './random.ts'

const split = (text: string): string[] => text.split(/\s+/).filter(Boolean)

export const firstNames =
  split(`Anna Ben Clara David Emma Felix Grace Henry Ida Jack Karen Leo Mia Noah Olga Paul Rosa Sam Tina Victor
Wendy Yusuf Zoe Alice Bob Carol Dan Eva Frank Gina Hugo Iris Jonas Kate Lucas Maria Nina Oscar Petra Ravi Sofia Tom Uma Vera Will`)
export const cities =
  split(`Paris Berlin Rome Madrid London Tokyo Oslo Vienna Prague Lima Cairo Sydney Boston Chicago Toronto Dublin
Lisbon Athens Warsaw Zurich Geneva Munich Hamburg Milan Naples Seville Lyon Nice Ghent Bruges Kyoto Osaka Delhi Mumbai Seoul Dallas
Denver Seattle Austin Miami Havana Quito Bogotá Nairobi Lagos Accra Dakar Tunis Amman Doha Hanoi Manila Perth Brisbane Auckland`)
export const things =
  split(`apple river stone garden window bottle candle pencil ladder hammer basket carpet mirror pillow engine rocket
guitar violin castle bridge island forest desert meadow valley harbour ticket letter parcel camera laptop printer monitor keyboard
table chair lamp clock kettle spoon blanket jacket helmet wallet umbrella suitcase bicycle tractor ferry balloon compass lantern
teapot notebook cupboard cushion whistle marble ribbon button thimble`)
export const adjectives =
  split(`red blue green yellow small large quick slow bright dark warm cold soft hard heavy light round square
silent loud gentle brave clever wooden golden silver paper broken hidden lucky tiny giant`)
const onsets = split(
  'b br c ch cl d dr f fl g gl gr h j k kl kr l m n p pl qu r s sh sk sl st t th tr v vr w x y z zb zl',
)
const vowels = split('a e i o u ae ai ea ia oo ou y')
const codas = split('b ck d g l ll m n nd ng nk p r rk rn s sh sk st t th x z')

/** A word that nobody has met, of two or three syllables, in lower case. */
export function inventedWord(random: Random): string {
  let word = ''
  const syllables = random.int(1, 3)
  for (let index = 0; index < syllables; index++) {
    word += random.pick(onsets) + random.pick(vowels) + (random.chance(0.5) ? random.pick(codas) : '')
  }
  return word.length < 4 ? `${word}${random.pick(onsets)}${random.pick(vowels)}` : word
}

/** An invented proper name. */
export function inventedName(random: Random): string {
  const word =
    inventedWord(random) +
    (random.chance(0.4) ? random.pick(['ia', 'land', 'on', 'us', 'stan', 'burg', 'ville', 'or']) : '')
  return word.charAt(0).toUpperCase() + word.slice(1)
}

/** `length` words in a row, some of them invented, some with other scripts, for copying. */
export function randomPhrase(random: Random, length: number): string {
  const exotic = [
    '日本語',
    'こんにちは',
    '🐑',
    '🚀',
    'café',
    'naïve',
    'Straße',
    '你好',
    '😀',
    'мир',
    '🌳',
    '東京',
    'señor',
    'привет',
    '👋',
  ]
  const parts: string[] = []
  for (let index = 0; index < length; index++) {
    const roll = random.next()
    if (roll < 0.4) parts.push(random.pick(things))
    else if (roll < 0.6) parts.push(random.pick(adjectives))
    else if (roll < 0.75) parts.push(inventedWord(random))
    else if (roll < 0.85) parts.push(random.pick(firstNames))
    else if (roll < 0.92) parts.push(String(random.int(0, 999)))
    else parts.push(random.pick(exotic))
  }
  return parts.join(' ')
}

/** A word that begins like a known one and goes another way, so that names must be read to their end. */
export function misspelt(random: Random, name: string): string {
  const kept = name.slice(0, Math.max(2, Math.floor(name.length * (0.3 + 0.4 * random.next()))))
  return kept + inventedWord(random)
}
