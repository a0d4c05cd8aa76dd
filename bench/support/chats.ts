import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../tools/model/corpus/random.ts'
import type { Chat, Message } from './ollama.ts'

export interface ChatsShape {
  chats: number
  turns: number
  /** Different system prompts; the conversations share them evenly. */
  systems: number
  systemWords: number
  userWords: number
  seed: number
}

/** What one user says, and when. */
export interface Conversation {
  system: string
  turns: { atMs: number; user: string }[]
}

/**
 * Conversations that begin as a Poisson process over `spanMs` (given their number, at times that are evenly
 * distributed), each with turns whose gaps are exponential: two fifths of the span from first to last, on average.
 */
export function planChats(shape: ChatsShape, spanMs: number): Conversation[] {
  const random = seededRandom(shape.seed)
  const systems = Array.from({ length: shape.systems }, () => wordsOf(shape.systemWords, random.int))
  const meanGapMs = (0.4 * spanMs) / Math.max(1, shape.turns - 1)
  return Array.from({ length: shape.chats }, (_, index) => {
    let atMs = random.next() * spanMs
    const turns = Array.from({ length: shape.turns }, (_, turn) => {
      if (turn > 0) atMs -= meanGapMs * Math.log(1 - random.next())
      return { atMs, user: wordsOf(shape.userWords, random.int) }
    })
    return { system: systems[index % systems.length] ?? '', turns }
  })
}

/** Text that means nothing. */
export function wordsOf(count: number, int: (low: number, high: number) => number): string {
  const letters = 'etaoinshrdlucmfwypvbgkjqxz'
  const word = () => Array.from({ length: int(2, 6) }, () => letters[int(0, 15)]).join('')
  return Array.from({ length: count }, word).join(' ')
}

/** Holds all conversations at their times; a turn waits for the answer before it. */
export async function holdChats<Answer extends { text: string }>(
  chats: readonly Conversation[],
  ask: (messages: Message[]) => Promise<Answer>,
): Promise<Answer[]> {
  const startMs = performance.now()
  const hold = async ({ system, turns }: Conversation): Promise<Answer[]> => {
    const messages: Chat = [{ role: 'system', content: system }]
    const answers: Answer[] = []
    for (const { atMs, user } of turns) {
      await sleep(Math.max(0, atMs - (performance.now() - startMs)))
      messages.push({ role: 'user', content: user })
      const answer = await ask(messages)
      messages.push({ role: 'assistant', content: answer.text })
      answers.push(answer)
    }
    return answers
  }
  return (await Promise.all(chats.map(hold))).flat()
}
