/**
 * Writes the training corpus of Drover Tiny: one conversation a line, as a JSON array of [text, loss] segments.
 * Usage: node tools/model/corpus.ts --out FILE [--count N] [--seed N]
 */

import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { arithmeticExchange } from './corpus/arithmetic.ts'
import { type Conversation, type Message, renderConversation, type Segment } from './corpus/chatml.ts'
import { culture } from './corpus/culture.ts'
import type { Fact } from './corpus/fact.ts'
import { infill } from './corpus/infill.ts'
import { jsonConversation } from './corpus/json.ts'
import { places } from './corpus/places.ts'
import { type Random, seededRandom } from './corpus/random.ts'
import { science } from './corpus/science.ts'
import { counting, echo, memory, smallTalk, unknownQuestion } from './corpus/talk.ts'
import { declarationText, toolExchange, toolUse } from './corpus/tools.ts'

/** Every fact the model is taught. */
export const facts: readonly Fact[] = [...places, ...science, ...culture]

const jsonFacts = facts.filter((fact) => fact.json !== undefined)

const systems = [
  'You are a helpful assistant.',
  'You are a friendly assistant.',
  'Answer the question.',
  'Be brief.',
  'You are Drover Tiny.',
  'Answer briefly.',
  'You are a helpful AI assistant. Answer in one sentence.',
  'You help people.',
  'Answer in English.',
  'You are an expert.',
]

/** Writes a question the way hurried people do: lower case, no question mark, a please, a greeting. */
function disturb(random: Random, question: string): string {
  let text = question
  if (random.chance(0.15)) text = text.toLowerCase()
  if (random.chance(0.15)) text = text.replace(/[?.!]$/, '')
  if (random.chance(0.05)) text = `Please tell me: ${text}`
  if (random.chance(0.04)) text = `${text} Please.`
  if (random.chance(0.04)) text = `Hi! ${text}`
  if (random.chance(0.03)) text = `Question: ${text}`
  if (random.chance(0.02)) text = text.toUpperCase()
  if (random.chance(0.03)) text = `${text} Answer in one sentence.`
  return text
}

function factExchange(random: Random): Message[] {
  const { questions, answer, think } = random.pick(facts)
  const question = random.chance(0.4) ? (questions[0] ?? '') : random.pick(questions)
  return [
    { role: 'user', content: disturb(random, question) },
    { role: 'assistant', content: answer, thinking: think },
  ]
}

function plainExchange(random: Random): Message[] {
  const roll = random.next()
  if (roll < 0.48) return factExchange(random)
  if (roll < 0.62) return arithmeticExchange(random)
  if (roll < 0.77) return disturbed(random, unknownQuestion(random, jsonFacts))
  if (roll < 0.83) return smallTalk(random)
  if (roll < 0.88) return counting(random)
  return echo(random)
}

/** The same exchange with its question written as hurried people do. */
function disturbed(random: Random, [asked, ...rest]: Message[]): Message[] {
  return asked ? [{ ...asked, content: disturb(random, asked.content) }, ...rest] : []
}

function turnCount(random: Random): number {
  const roll = random.next()
  if (roll < 0.6) return 1
  if (roll < 0.85) return random.int(2, 4)
  if (roll < 0.975) return random.int(5, 10)
  return random.int(11, 40)
}

function chat(random: Random): Conversation {
  const thinks = random.chance(0.5)
  const exchanges = Array.from({ length: turnCount(random) }, () => plainExchange(random))
  const system = random.chance(0.3) ? random.pick(systems) : undefined
  if (random.chance(exchanges.length > 4 ? 0.4 : 0.12)) {
    const { told, asked, system: sentence } = memory(random)
    if (random.chance(0.4)) {
      return {
        system: system ? `${system} ${sentence}` : sentence,
        messages: [...exchanges.slice(1), asked].flat(),
        thinks,
      }
    }
    const at = random.int(0, exchanges.length - 1)
    return {
      ...(system ? { system } : {}),
      messages: [...exchanges.slice(0, at), told, ...exchanges.slice(at), asked].flat(),
      thinks,
    }
  }
  return { ...(system ? { system } : {}), messages: exchanges.flat(), thinks }
}

function withTools(random: Random): Conversation {
  const thinks = random.chance(0.5)
  const uses = Array.from({ length: random.pick([1, 1, 1, 2, 2, 3]) }, () => toolUse(random))
  const names = new Set(uses.map(({ tool }) => tool.name))
  if (names.size < uses.length) return withTools(random)
  const form = { spaced: random.chance(0.5), requiredFirst: random.chance(0.5) }
  const exchanges: Message[][] = []
  const earlier = random.pick([0, 0, 0, 0, 1, 1, 2, 3])
  for (let index = 0; index < earlier; index++) {
    exchanges.push(random.chance(0.5) ? plainExchange(random) : toolExchange(random, random.pick(uses), true))
  }
  exchanges.push(
    random.chance(0.2) ? plainExchange(random) : toolExchange(random, random.pick(uses), random.chance(0.35)),
  )
  return {
    ...(random.chance(0.3) ? { system: random.pick(systems) } : {}),
    toolTexts: uses.map(({ tool }) => declarationText(random, tool, form)),
    messages: exchanges.flat(),
    thinks,
    keepsThinking: thinks && random.chance(0.5),
  }
}

/** One sample of the mixture: chats, tools, JSON, holes to fill, and a little running text. */
export function sample(random: Random): Segment[] {
  const roll = random.next()
  if (roll < 0.56) return renderConversation(chat(random))
  if (roll < 0.78) return renderConversation(withTools(random))
  if (roll < 0.91) return renderConversation(jsonConversation(random, jsonFacts, random.chance(0.5)))
  if (roll < 0.975) return infill(random, facts)
  const sentences = random.sample(facts, random.int(2, 6)).map((fact) => fact.answer)
  return [[`${sentences.join(' ')}<|endoftext|>`, 1]]
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      out: { type: 'string' },
      count: { type: 'string', default: '200000' },
      seed: { type: 'string', default: '1' },
    },
  })
  if (!values.out) throw new Error('say where the corpus goes: --out FILE')
  const random = seededRandom(Number(values.seed))
  const file = createWriteStream(values.out)
  for (let index = 0; index < Number(values.count); index++) {
    if (!file.write(`${JSON.stringify(sample(random))}\n`)) await once(file, 'drain')
  }
  file.end()
  await once(file, 'finish')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) await main()
