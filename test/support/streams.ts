import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { LaidOutInstance, Move } from '../../src/api/index.ts'
import { getJson, post } from './drover.ts'

/** Questions that the bundled model has learnt: rounding hardly ever changes a word of their answers. */
export async function knownPrompts(count: number): Promise<string[]> {
  const path = fileURLToPath(new URL('../../assets/drover-tiny.facts.json', import.meta.url))
  const facts = JSON.parse(await readFile(path, 'utf8')) as { question: string }[]
  return facts
    .slice(0, count)
    .map(({ question }) => `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`)
}

/** What clients have seen. */
export interface Seen {
  answers: number
  errors: string[]
  /** Every text that a prompt of a model was answered with, by both. */
  texts: Map<string, Set<string>>
  /** Between two pieces of an answer, and from the request to the first. */
  longestGapMs: number
  longestTtftMs: number
}

export interface Load {
  seen: Seen
  /** Lets every answer come to its end. */
  stop(): Promise<Seen>
}

interface Asked {
  url: string
  models: readonly string[]
  prompts: readonly string[]
  /** Absent: to their end. */
  mostTokens?: number
}

export interface LoadOptions extends Asked {
  /** Requests at once. */
  streams: number
}

interface Line {
  response?: string
  error?: string
  done?: boolean
}

/** Keeps so many streams running, each with another prompt after the other. */
export function keepAsking({ url, models, prompts, streams, mostTokens }: LoadOptions): Load {
  const seen: Seen = { answers: 0, errors: [], texts: new Map(), longestGapMs: 0, longestTtftMs: 0 }
  let over = false
  let turn = 0
  const client = async () => {
    while (!over) {
      const at = turn++
      const model = models[at % models.length] ?? ''
      const prompt = prompts[Math.floor(at / models.length) % prompts.length] ?? ''
      await ask(url, model, prompt, seen, mostTokens)
    }
  }
  const clients = Array.from({ length: streams }, client)
  return {
    seen,
    stop: async () => {
      over = true
      await Promise.all(clients)
      return seen
    },
  }
}

/** Answers of one request after the other, with nothing beside it. */
export async function askInTurn({ url, models, prompts, mostTokens }: Asked): Promise<Seen> {
  const seen: Seen = { answers: 0, errors: [], texts: new Map(), longestGapMs: 0, longestTtftMs: 0 }
  for (const model of models) for (const prompt of prompts) await ask(url, model, prompt, seen, mostTokens)
  return seen
}

async function ask(url: string, model: string, prompt: string, seen: Seen, mostTokens = -1): Promise<void> {
  let text = ''
  let last: Line = {}
  let lastAtMs = performance.now()
  let isFirst = true
  try {
    const body = JSON.stringify({
      model,
      prompt,
      raw: true,
      options: { temperature: 0, num_predict: mostTokens },
    })
    const response = await fetch(`${url}/api/generate`, { method: 'POST', body })
    const decoder = new TextDecoder()
    let tail = ''
    for await (const chunk of response.body ?? []) {
      const nowMs = performance.now()
      if (isFirst) seen.longestTtftMs = Math.max(seen.longestTtftMs, nowMs - lastAtMs)
      else seen.longestGapMs = Math.max(seen.longestGapMs, nowMs - lastAtMs)
      isFirst = false
      lastAtMs = nowMs
      const lines = (tail + decoder.decode(chunk, { stream: true })).split('\n')
      tail = lines.pop() ?? ''
      for (const line of lines) {
        last = JSON.parse(line) as Line
        text += last.response ?? ''
      }
    }
    if (!response.ok || last.error !== undefined || !last.done) {
      seen.errors.push(`${response.status} ${last.error ?? tail.slice(0, 200)}`)
      return
    }
  } catch (error) {
    seen.errors.push(String(error))
    return
  }
  seen.answers++
  const key = `${model}: ${prompt}`
  seen.texts.set(key, (seen.texts.get(key) ?? new Set()).add(text))
}

/** Prompts whose answers were not all the text that they had before, or not one text. */
export function differing(before: Seen, after: Seen): string[] {
  return [...after.texts].flatMap(([key, texts]) => {
    const all = new Set([...texts, ...(before.texts.get(key) ?? [])])
    return all.size === 1 ? [] : [`${key} -> ${[...all].join(' | ')}`]
  })
}

export interface Layout {
  instances: LaidOutInstance[]
  moves: Move[]
}

export const layoutOf = (url: string) => getJson<Layout>(`${url}/api/multigpu/status`)

/** The devices of each instance that is ready, as `drover:latest cpu:0`. */
export async function placesOf(url: string): Promise<string[]> {
  const { instances } = await layoutOf(url)
  return instances
    .filter(({ state }) => state === 'ready')
    .map(({ model, parts }) => [model, ...parts.map(({ deviceId }) => deviceId)].join(' '))
    .sort()
}

/** `migrate`, `rebalance` or `undo`; throws what is refused. */
export async function change(url: string, what: string, body: object = {}): Promise<Move[]> {
  const { status, text } = await post(`${url}/api/multigpu/${what}`, body)
  if (status !== 200) throw new Error(`${what}: ${status} ${text}`)
  return (JSON.parse(text) as { moves: Move[] }).moves
}
