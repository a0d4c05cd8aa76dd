import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ChatRequest, InferenceRequest, RoutingWishes } from '../inference/index.ts'
import { createPredictor } from './prediction/index.ts'
import { embedRouteOf, promptBlocks, type RouteKnowledge, routeOf, traitsNow } from './route-request.ts'
import { createTokenEstimate } from './token-estimate.ts'

const knowledgeOf = (salt = 'pepper'): RouteKnowledge => ({
  tokens: createTokenEstimate(),
  predictor: createPredictor(),
  salt,
})

const chat = (changes: Partial<ChatRequest> = {}): ChatRequest => ({
  kind: 'chat',
  model: 'llama',
  messages: [{ role: 'user', content: 'hello' }],
  options: {},
  ...changes,
})

const prompt = 'Once upon a time there was a GPU. '.repeat(40)
const traitsFor = (request: InferenceRequest, text: string | undefined = prompt, options = request.options) =>
  routeOf(request, text, 'blob', options, knowledgeOf(), 1_000)
const wishing = (routing: RoutingWishes) => traitsFor(chat({ routing }))

describe('the wishes of a request', () => {
  it('are none where it has none', () => {
    const { route, ...traits } = traitsFor(chat())
    expect(traits).toEqual({})
    expect(Object.keys(route ?? {}).toSorted()).toEqual([
      'blocks',
      'outputTokens',
      'promptTokens',
      'shape',
      'tenant',
    ])
    expect(route?.tenant).toBe('')
  })

  it('are who it is for, how urgent it is, and until when', () => {
    const { priority, route } = wishing({
      tenant: 'ada',
      priority: 'bulk',
      session: 'talk',
      deadlineInMs: 250,
      policy: 'round_robin',
    })
    expect(priority).toBe('bulk')
    expect(route).toMatchObject({
      tenant: 'ada',
      session: 'talk',
      deadlineMs: 1_250,
      policy: 'round_robin',
      shape: { model: 'blob', tenant: 'ada' },
    })
    expect(wishing({ deadlineInMs: 0 }).route?.deadlineMs).toBe(1_000)
  })

  it('are what an instance has to be', () => {
    const needs = {
      pins: ['gpu:0', '#7'],
      labels: { rack: 'b' },
      precision: 'bf16' as const,
      maxWatts: 0,
      maxCostPerMillionTokens: 2.5,
    }
    expect(wishing(needs).route?.needs).toEqual(needs)
    expect(wishing({ labels: { rack: 'b' } }).route?.needs).toEqual({ labels: { rack: 'b' } })
    expect(wishing({ tenant: 'ada' }).route?.needs).toBeUndefined()
  })

  it('are refused where there is no such policy, with those that there are', () => {
    expect(() => wishing({ policy: 'fastest' })).toThrow(
      /unknown policy "fastest": there are predicted_finish, .*round_robin/,
    )
  })
})

describe('the sort of a request', () => {
  const shapeOf = (request: InferenceRequest, options = request.options) =>
    traitsFor(request, prompt, options).route?.shape
  const tool = { type: 'function', function: { name: 'now' } } as unknown as NonNullable<
    ChatRequest['tools']
  >[number]

  it('says what decides the length of its answer', () => {
    expect(shapeOf(chat())).toMatchObject({ kind: 'chat', tools: false, format: false, thinking: false })
    expect(shapeOf(chat({ tools: [tool], format: 'json', think: 'high' }))).toMatchObject({
      tools: true,
      format: true,
      thinking: true,
    })
    expect(shapeOf(chat({ tools: [], think: false }))).toMatchObject({ tools: false, thinking: false })
    expect(shapeOf({ kind: 'generate', model: 'llama', prompt: 'x', options: {} })?.kind).toBe('generate')
  })

  it('has the limit that holds, be it the model’s own; none and unlimited are no limit', () => {
    expect(shapeOf(chat(), { num_predict: 20 })?.maxTokens).toBe(20)
    for (const num_predict of [-1, -2, 0])
      expect(shapeOf(chat(), { num_predict })).not.toHaveProperty('maxTokens')
    expect(traitsFor(chat(), prompt, { num_predict: 3 }).route?.outputTokens).toBeLessThanOrEqual(3)
  })

  it('counts its tokens as the model’s texts have been counted before', () => {
    const knowledge = knowledgeOf()
    const tokens = () => routeOf(chat(), prompt, 'blob', {}, knowledge, 0).route?.promptTokens
    expect(tokens()).toBe(Math.ceil(prompt.length / 4))
    knowledge.tokens.observe('blob', 200, 100)
    expect(tokens()).toBe(prompt.length / 2)
  })

  it('is nothing where only an engine knows the text', () => {
    const { route } = routeOf(chat(), undefined, 'blob', {}, knowledgeOf(), 0)
    expect(route).not.toHaveProperty('blocks')
    expect(route?.promptTokens).toBe(0)
  })

  it('is that of texts to embed: their bytes, no answer and no cache', () => {
    const { route } = embedRouteOf({ tenant: 'ada' }, ['hello', '日本語の文'], 'blob', knowledgeOf(), 0)
    expect(route).toMatchObject({ tenant: 'ada', promptTokens: 5, outputTokens: 0 })
    expect(route).not.toHaveProperty('blocks')
  })
})

describe('the blocks of a prompt', () => {
  const hashesOf = (key: string, tenant: string, salt = 'pepper', text = prompt) =>
    promptBlocks(text, key, tenant, knowledgeOf(salt)).hashes

  it('are shared by prompts that begin alike, of one tenant and one model', () => {
    const whole = hashesOf('blob', 'ada')
    expect(whole).toHaveLength(5)
    expect(hashesOf('blob', 'ada', 'pepper', `${prompt.slice(0, 600)}!`)).toEqual(whole.slice(0, 2))
  })

  it('are shared with no other tenant, model or server', () => {
    fc.assert(
      fc.property(fc.tuple(...owner()), fc.tuple(...owner()), (mine, theirs) => {
        const [a, b] = [hashesOf(...mine), hashesOf(...theirs)]
        const same = mine.every((part, at) => part === theirs[at])
        expect(a.filter((hash) => b.includes(hash))).toEqual(same ? a : [])
      }),
      { numRuns: 300 },
    )
  })

  /** Few letters, so that parts of one often run into those of another. */
  function owner(): [fc.Arbitrary<string>, fc.Arbitrary<string>, fc.Arbitrary<string>] {
    const part = fc.string({ unit: fc.constantFrom('a', '\n', '"', ','), maxLength: 3 })
    return [part, part, part]
  }
})

describe('a request that asks for a slot again', () => {
  const route = wishing({ deadlineInMs: 100 }).route
  const standing = { returns: true, spoke: false }

  it('keeps out of where it has failed, and of what was forbidden from the start', () => {
    const traits = { slotless: true, avoid: new Set([1]) }
    expect(traitsNow(traits, new Set([2]), standing)).toEqual({
      slotless: true,
      avoid: new Set([2, 1]),
      returns: true,
    })
    expect(traitsNow({}, new Set([2]), { returns: false, spoke: false })).toEqual({
      avoid: new Set([2]),
      returns: false,
    })
  })

  it('has its deadline until its first word, and none from then on', () => {
    const traits = route ? { route } : {}
    expect(traitsNow(traits, new Set(), standing).route?.deadlineMs).toBe(1_100)
    expect(traitsNow(traits, new Set(), { returns: true, spoke: true }).route).not.toHaveProperty(
      'deadlineMs',
    )
    expect(traitsNow(traits, new Set(), { returns: true, spoke: true }).route).toMatchObject({ tenant: '' })
  })
})
