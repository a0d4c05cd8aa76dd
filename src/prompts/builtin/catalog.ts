import type { Think, Tool } from '../../inference/index.ts'
import type { OutputParser, PromptTurn } from '../contract.ts'
import { coherePreservedTokens, createCohereParser, renderCohere } from './cohere.ts'
import {
  createFunctionGemmaParser,
  functionGemmaPreservedTokens,
  renderFunctionGemma,
} from './functiongemma.ts'
import { createGemma4Parser, gemma4PreservedTokens, renderGemma4 } from './gemma4.ts'
import { createGlimmerParser, glimmerPreservedTokens, renderGlimmer } from './glimmer.ts'
import { createGlmOcrParser, glmOcrPreservedTokens, renderGlmOcr } from './glm-ocr.ts'
import { createLagunaParser, lagunaPreservedTokens, renderLaguna, renderPoolside } from './laguna.ts'
import { createLfm2Parser, lfm2PreservedTokens, renderLfm2 } from './lfm2.ts'
import { createLlama3Parser, llama3PreservedTokens, renderLlama3 } from './llama3.ts'
import { createMinistralParser, ministralPreservedTokens, renderMinistral } from './ministral.ts'
import { createNemotronParser, nemotronPreservedTokens, renderNemotron } from './nemotron.ts'
import { createOlmo3Parser, createOlmo3ThinkParser, renderOlmo3, renderOlmo3Think } from './olmo3.ts'

/** The families' renderers and parsers, by the names that a model's config gives them (`renderer`, `parser`). */

/** Renders a conversation as one family's models expect it. Pure: the same turn gives the same text, dates apart. */
export type Renderer = (turn: PromptTurn) => string

/** What a parser must know of the answer it reads. */
export interface ParserOptions {
  /** The rendered prompt: a thought, or another block, may be open at its end. */
  prompt: string
  tools: readonly Tool[]
  /** As the prompt was rendered with. Absent: nothing was said about thinking. */
  think?: Think
}

/** Tells one family's output apart. */
export interface Parser {
  thinking: boolean
  tools: boolean
  /** Special tokens that the engine must give as text. */
  preservedTokens: readonly string[]
  /** What ends a thought in the output, and what an answer begins with behind it: a forced answer starts there. */
  thoughtEnd?: { close: string; answer: string }
  create(options: ParserOptions): OutputParser
}

/** From this size on, Gemma 4 wants an empty thought where it shall not think. */
const gemma4LargeParameters = 12e9

const gemma4Large: Renderer = (turn) => renderGemma4(turn, { emptyThought: true })

const renderers = new Map<string, Renderer>([
  ['gemma4', renderGemma4],
  ['gemma4-small', renderGemma4],
  ['gemma4-large', gemma4Large],
  ['functiongemma', renderFunctionGemma],
  ['ministral', renderMinistral],
  ['llama3', renderLlama3],
  ['cohere', renderCohere],
  ['olmo3', renderOlmo3],
  ['olmo3.1', (turn) => renderOlmo3(turn, 'olmo3.1')],
  ['olmo3-think', renderOlmo3Think],
  ['olmo3-32b-think', (turn) => renderOlmo3Think(turn, 'olmo3-32b-think')],
  ['lfm2', ({ messages, tools }) => renderLfm2({ messages, tools })],
  ['lfm2-thinking', renderLfm2],
  ['nemotron-3-nano', renderNemotron],
  ['nemotron-3.5-nano', (turn) => renderNemotron(turn, 'nemotron-3.5-nano')],
  ['glm-ocr', renderGlmOcr],
  ['laguna', renderLaguna],
  ['poolside-v1', renderPoolside],
  ['glimmer', renderGlimmer],
])

const xmlThought = { close: '</think>', answer: '\n\n' }

const gemma4: Parser = {
  thinking: true,
  tools: true,
  preservedTokens: gemma4PreservedTokens,
  thoughtEnd: { close: '<channel|>', answer: '' },
  create: ({ prompt, think }) => createGemma4Parser(prompt, Boolean(think)),
}

const nemotron: Parser = {
  thinking: true,
  tools: true,
  preservedTokens: nemotronPreservedTokens,
  thoughtEnd: xmlThought,
  create: ({ prompt, tools }) => createNemotronParser(prompt, tools),
}

const laguna: Parser = {
  thinking: true,
  tools: true,
  preservedTokens: lagunaPreservedTokens,
  thoughtEnd: { close: '</think>', answer: '' },
  create: ({ prompt, tools, think }) => createLagunaParser(prompt, tools, Boolean(think)),
}

const lfm2: Parser = {
  thinking: false,
  tools: true,
  preservedTokens: lfm2PreservedTokens,
  create: ({ tools }) => createLfm2Parser(tools, false),
}

const parsers = new Map<string, Parser>([
  ['gemma4', gemma4],
  [
    'gemma4-no-thinking',
    { ...gemma4, thinking: false, create: ({ prompt }) => createGemma4Parser(prompt, false) },
  ],
  [
    'functiongemma',
    {
      thinking: false,
      tools: true,
      preservedTokens: functionGemmaPreservedTokens,
      create: () => createFunctionGemmaParser(),
    },
  ],
  [
    'ministral',
    {
      thinking: false,
      tools: true,
      preservedTokens: ministralPreservedTokens,
      create: ({ prompt }) => createMinistralParser(prompt),
    },
  ],
  [
    'llama3',
    {
      thinking: false,
      tools: true,
      preservedTokens: llama3PreservedTokens,
      create: ({ tools }) => createLlama3Parser(tools),
    },
  ],
  [
    'cohere',
    {
      thinking: true,
      tools: true,
      preservedTokens: coherePreservedTokens,
      thoughtEnd: { close: '<|END_THINKING|>', answer: '<|START_TEXT|>' },
      create: ({ prompt }) => createCohereParser(prompt),
    },
  ],
  ['olmo3', { thinking: false, tools: true, preservedTokens: [], create: () => createOlmo3Parser() }],
  [
    'olmo3-think',
    {
      thinking: true,
      tools: false,
      preservedTokens: [],
      thoughtEnd: xmlThought,
      create: ({ prompt }) => createOlmo3ThinkParser(prompt),
    },
  ],
  ['lfm2', lfm2],
  [
    'lfm2-thinking',
    {
      ...lfm2,
      thinking: true,
      thoughtEnd: xmlThought,
      create: ({ tools, think }) => createLfm2Parser(tools, Boolean(think)),
    },
  ],
  ['nemotron-3-nano', nemotron],
  ['nemotron-3.5-nano', nemotron],
  [
    'glm-ocr',
    {
      thinking: true,
      tools: false,
      preservedTokens: glmOcrPreservedTokens,
      thoughtEnd: xmlThought,
      create: ({ tools }) => createGlmOcrParser(tools),
    },
  ],
  ['laguna', laguna],
  ['poolside-v1', laguna],
  [
    'glimmer',
    {
      thinking: true,
      tools: true,
      preservedTokens: glimmerPreservedTokens,
      thoughtEnd: { close: '<|eom|>', answer: '<|start|>assistant to=user<|message|>' },
      create: ({ tools, think }) => createGlimmerParser(tools, think !== false),
    },
  ],
])

/** The renderer of that name. `parameterCount` tells the small Gemma 4 models from the large. */
export function findRenderer(name: string, parameterCount = 0): Renderer | undefined {
  const isLarge = name === 'gemma4' && parameterCount >= gemma4LargeParameters
  return isLarge ? gemma4Large : renderers.get(name)
}

/** The parser of that name. */
export function findParser(name: string): Parser | undefined {
  return parsers.get(name)
}
