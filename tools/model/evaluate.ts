/**
 * Measures the exported model at temperature 0 with its own chat template, on one CPU thread.
 * Usage: node tools/model/evaluate.ts [FILE.gguf] [--misses] [--only PATTERN_OF_MEASURES]
 */
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual, parseArgs } from 'node:util'
import { allSums } from './corpus/arithmetic.ts'
import type { Tool } from './corpus/declaration.ts'
import type { Fact } from './corpus/fact.ts'
import { seededRandom } from './corpus/random.ts'
import { counting, echo, memory } from './corpus/talk.ts'
import { toolUse } from './corpus/tools.ts'
import { facts } from './corpus.ts'
import {
  type ChatMessage,
  loadSubject,
  parseToolCall,
  type Subject,
  splitThinking,
} from './evaluation/subject.ts'
import { holes, type UnseenTool, unseenTools, unseenUnknowns } from './evaluation/unseen.ts'

/** What was asked, what came, and whether it was right. */
interface Check {
  readonly asked: string
  readonly answer: string
  readonly right: boolean
}

const user = (content: string): ChatMessage => ({ role: 'user', content })

const declare = (tool: Tool | UnseenTool): object => ({
  type: 'function',
  function: {
    name: tool.name,
    description: tool.description,
    parameters: { type: 'object', properties: tool.properties, required: Object.keys(tool.properties) },
  },
})

async function ask(
  subject: Subject,
  content: string,
  thinks: boolean,
  right: (content: string) => boolean,
): Promise<Check> {
  const answer = await subject.chat([user(content)], { thinks })
  return { asked: content, answer, right: right(splitThinking(answer).content) }
}

async function each<T>(items: readonly T[], check: (item: T) => Promise<Check>): Promise<Check[]> {
  const checks: Check[] = []
  for (const item of items) checks.push(await check(item))
  return checks
}

const factsWith = (subject: Subject, thinks: boolean, question: (fact: Fact) => string): Promise<Check[]> =>
  each(facts, (fact) => ask(subject, question(fact), thinks, (content) => content.includes(fact.keyword)))

function toolCalls(
  subject: Subject,
  thinks: boolean,
  uses: readonly { tool: Tool | UnseenTool; question: string; arguments: object }[],
): Promise<Check[]> {
  return each(uses, async ({ tool, question, arguments: wanted }) => {
    const answer = await subject.chat([user(question)], { thinks, tools: [declare(tool)] })
    const call = parseToolCall(splitThinking(answer).content)
    const right = call?.name === tool.name && isDeepStrictEqual(call.arguments, wanted)
    return { asked: `${question} [${tool.name}]`, answer, right }
  })
}

function withoutFittingTool(subject: Subject): Promise<Check[]> {
  const tools = unseenTools.slice(0, 8).map(declare)
  return each(seededRandom(5).sample(facts, 60), async ({ questions, keyword }) => {
    const asked = questions[0] ?? ''
    const answer = await subject.chat([user(asked)], { thinks: false, tools: tools.slice(0, 2) })
    return { asked, answer, right: answer.includes(keyword) }
  })
}

function afterToolReply(subject: Subject): Promise<Check[]> {
  const replies = [
    '21 degrees and sunny',
    '{"temperature": 7, "condition": "rainy"}',
    '14:30',
    '{"price":250}',
  ]
  return each(unseenTools, async (tool) => {
    const reply = replies[tool.question.length % replies.length] ?? ''
    const call = { function: { name: tool.name, arguments: tool.arguments } }
    const messages: ChatMessage[] = [
      user(tool.question),
      { role: 'assistant', content: '', tool_calls: [call] },
      { role: 'tool', content: reply },
    ]
    const answer = await subject.chat(messages, { thinks: false, tools: [declare(tool)] })
    const values = reply.match(/\d+|sunny|rainy/g) ?? []
    return {
      asked: reply,
      answer,
      right: values.every((value) => answer.includes(value)) && !answer.includes('<tool_call>'),
    }
  })
}

function json(subject: Subject): Promise<Check[]> {
  const withJson = facts.filter((fact) => fact.json)
  return each(seededRandom(6).sample(withJson, 80), ({ questions, json: wanted }) =>
    ask(subject, `${questions[0]} Answer in JSON.`, false, (content) => {
      try {
        return isDeepStrictEqual(JSON.parse(content), wanted)
      } catch (error) {
        if (error instanceof SyntaxError) return false
        throw error
      }
    }),
  )
}

/** A fact asked, and a name recalled, after enough earlier turns to fill well over a thousand tokens. */
function lateInConversation(subject: Subject): Promise<Check[]> {
  const random = seededRandom(7)
  return each(random.sample(facts, 30), async ({ questions, keyword }) => {
    const turns: ChatMessage[] = random
      .sample(facts, 40)
      .flatMap((fact) => [user(fact.questions[0] ?? ''), { role: 'assistant', content: fact.answer }])
    const asked = questions[0] ?? ''
    const answer = await subject.chat([...turns, user(asked)], { thinks: false })
    return { asked, answer, right: answer.includes(keyword) }
  })
}

function recall(subject: Subject): Promise<Check[]> {
  const random = seededRandom(8)
  const memories = Array.from({ length: 40 }, () => memory(random))
  return each(memories, async ({ told, asked }) => {
    const between = random
      .sample(facts, 3)
      .flatMap((fact): ChatMessage[] => [
        user(fact.questions[0] ?? ''),
        { role: 'assistant', content: fact.answer },
      ])
    const history = told.map(({ role, content }): ChatMessage => ({ role, content }))
    const question = asked[0]?.content ?? ''
    const answer = await subject.chat([...history, ...between, user(question)], { thinks: false })
    return { asked: `${told[0]?.content} ... ${question}`, answer, right: answer === asked[1]?.content }
  })
}

function exact(subject: Subject, count: number, make: typeof counting): Promise<Check[]> {
  const random = seededRandom(9)
  const exchanges = Array.from({ length: count }, () => make(random))
  return each(exchanges, ([question, answer]) =>
    ask(subject, question?.content ?? '', false, (content) => content === answer?.content),
  )
}

async function thinking(subject: Subject): Promise<Check[]> {
  const asked = seededRandom(10).sample(facts, 60)
  const on = await each(asked, async ({ questions }) => {
    const answer = await subject.chat([user(questions[0] ?? '')], { thinks: true })
    return { asked: `on: ${questions[0]}`, answer, right: (splitThinking(answer).thinking ?? '').length > 10 }
  })
  const off = await each(asked, async ({ questions }) => {
    const answer = await subject.chat([user(questions[0] ?? '')], { thinks: false })
    return { asked: `off: ${questions[0]}`, answer, right: !answer.includes('think>') }
  })
  return [...on, ...off]
}

const fillHoles = (subject: Subject): Promise<Check[]> =>
  each(holes, async ([prefix, suffix, middle]) => {
    const answer = await subject.complete(`<|fim_prefix|>${prefix}<|fim_suffix|>${suffix}<|fim_middle|>`)
    return { asked: `${prefix}…${suffix}`, answer, right: answer === middle }
  })

const refusals = (subject: Subject, thinks: boolean): Promise<Check[]> =>
  each(unseenUnknowns, (question) =>
    ask(subject, question, thinks, (content) => content === 'I do not know.'),
  )

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { misses: { type: 'boolean', default: false }, only: { type: 'string' } },
  })
  const subject = await loadSubject(
    positionals[0] ?? fileURLToPath(new URL('../../assets/drover-tiny.gguf', import.meta.url)),
  )
  const random = seededRandom(4321)
  const drawnTools = Array.from({ length: 80 }, () => toolUse(random))
  const unseen = unseenTools.map((tool) => ({ tool, question: tool.question, arguments: tool.arguments }))
  const sums = seededRandom(3).sample(allSums(), 150)
  const measures: [string, () => Promise<Check[]>][] = [
    ['facts, thinking off', () => factsWith(subject, false, ({ questions }) => questions[0] ?? '')],
    ['facts, thinking on', () => factsWith(subject, true, ({ questions }) => questions[0] ?? '')],
    [
      'facts, last phrasing, lower case',
      () => factsWith(subject, false, ({ questions }) => (questions.at(-1) ?? '').toLowerCase()),
    ],
    [
      'sums, thinking off',
      () =>
        each(sums, (sum) => ask(subject, sum.questions[0] ?? '', false, (content) => content === sum.answer)),
    ],
    [
      'sums, thinking on',
      () =>
        each(sums, (sum) => ask(subject, sum.questions[1] ?? '', true, (content) => content === sum.answer)),
    ],
    ['thinks when asked, and only then', () => thinking(subject)],
    ['refuses the unknown, thinking off', () => refusals(subject, false)],
    ['refuses the unknown, thinking on', () => refusals(subject, true)],
    ['calls tools written by hand, thinking off', () => toolCalls(subject, false, unseen)],
    ['calls tools written by hand, thinking on', () => toolCalls(subject, true, unseen)],
    ['calls tools drawn anew', () => toolCalls(subject, false, drawnTools)],
    ['answers itself when no tool fits', () => withoutFittingTool(subject)],
    ['says what a tool replied', () => afterToolReply(subject)],
    ['JSON', () => json(subject)],
    ['fills holes', () => fillHoles(subject)],
    ['facts after 40 turns', () => lateInConversation(subject)],
    ['recalls what it was told', () => recall(subject)],
    ['counts', () => exact(subject, 40, counting)],
    ['repeats', () => exact(subject, 40, echo)],
  ]
  for (const [name, measure] of measures) {
    if (values.only && !new RegExp(values.only).test(name)) continue
    const checks = await measure()
    const right = checks.filter((check) => check.right).length
    process.stdout.write(
      `${name.padEnd(44)} ${right}/${checks.length}  ${((100 * right) / checks.length).toFixed(1)} %\n`,
    )
    if (!values.misses) continue
    for (const { asked, answer } of checks.filter((check) => !check.right))
      process.stdout.write(`    ${JSON.stringify(asked)} -> ${JSON.stringify(answer)}\n`)
  }
  await subject.close()
}

await main()
