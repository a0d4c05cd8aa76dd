import type { Parser, Renderer } from '../contract.ts'
import { coherePreservedTokens, createCohereParser, renderCohere } from './cohere.ts'
import {
  createDeepseek3Parser,
  deepseek3PreservedTokens,
  renderCogito,
  renderDeepseek31,
} from './deepseek3.ts'
import {
  createFunctionGemmaParser,
  functionGemmaPreservedTokens,
  renderFunctionGemma,
} from './functiongemma.ts'
import { createGemma4Parser, gemma4PreservedTokens, renderGemma4 } from './gemma4.ts'
import { createGlimmerParser, glimmerPreservedTokens, renderGlimmer } from './glimmer.ts'
import { createGlmOcrParser, glmOcrPreservedTokens, renderGlmOcr } from './glm-ocr.ts'
import { createGlm4Parser, glm4PreservedTokens, renderGlm4 } from './glm4.ts'
import { createHarmonyParser, harmonyPreservedTokens } from './harmony.ts'
import { createLagunaParser, lagunaPreservedTokens, renderLaguna, renderPoolside } from './laguna.ts'
import { createLfm2Parser, lfm2PreservedTokens, renderLfm2 } from './lfm2.ts'
import { createLlama3Parser, llama3PreservedTokens, renderLlama3 } from './llama3.ts'
import { createMinistralParser, ministralPreservedTokens, renderMinistral } from './ministral.ts'
import { createNemotronParser, nemotronPreservedTokens, renderNemotron } from './nemotron.ts'
import { createOlmo3Parser, createOlmo3ThinkParser, renderOlmo3, renderOlmo3Think } from './olmo3.ts'
import { createQwen3Parser, qwen3PreservedTokens, renderQwen3Vl } from './qwen3.ts'
import { createQwen3CoderParser, renderQwen3Coder, renderQwen35 } from './qwen3-coder.ts'

/* The families' renderers and parsers, by the names that a model's config gives them (`renderer`, `parser`). */

/** From this size on, Gemma 4 wants an empty thought where it shall not think. */
const gemma4LargeParameters = 12e9

const gemma4Large: Renderer = (turn) => renderGemma4(turn, { emptyThought: true })

const renderers = new Map<string, Renderer>([
  ['qwen3-coder', renderQwen3Coder],
  ['qwen3-vl-instruct', (turn) => renderQwen3Vl(turn, false)],
  ['qwen3-vl-thinking', (turn) => renderQwen3Vl(turn, true)],
  ['qwen3.5', renderQwen35],
  ['qwen3.8', renderQwen35],
  ['ornith', renderQwen35],
  ['deepseek3.1', renderDeepseek31],
  ['cogito', renderCogito],
  ['glm-4.6', renderGlm4],
  ['glm-4.7', renderGlm4],
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

const qwen3: Parser = {
  thinking: false,
  tools: true,
  preservedTokens: qwen3PreservedTokens,
  create: ({ prompt }) => createQwen3Parser(prompt, false),
}

const qwen3Thinking: Parser = {
  ...qwen3,
  thinking: true,
  thoughtEnd: xmlThought,
  create: ({ prompt, think }) => createQwen3Parser(prompt, think !== false),
}

const deepseek3: Parser = {
  thinking: true,
  tools: true,
  preservedTokens: deepseek3PreservedTokens,
  thoughtEnd: { close: '</think>', answer: '' },
  create: ({ prompt, think }) => createDeepseek3Parser(prompt, Boolean(think)),
}

const glm4: Parser = {
  thinking: true,
  tools: true,
  preservedTokens: glm4PreservedTokens,
  thoughtEnd: { close: '</think>', answer: '' },
  create: ({ prompt, tools }) => createGlm4Parser(prompt, tools),
}

const passthrough: Parser = {
  thinking: false,
  tools: false,
  preservedTokens: [],
  create: () => ({ push: (text) => (text === '' ? [] : [{ type: 'token', text }]), end: () => [] }),
}

const parsers = new Map<string, Parser>([
  [
    'harmony',
    {
      thinking: true,
      tools: true,
      preservedTokens: harmonyPreservedTokens,
      thoughtEnd: { close: '<|end|>', answer: '<|start|>assistant<|channel|>final<|message|>' },
      create: ({ prompt, tools }) => createHarmonyParser(prompt, tools),
    },
  ],
  ['qwen3', qwen3],
  ['qwen3-thinking', qwen3Thinking],
  ['qwen3-vl-instruct', qwen3],
  ['qwen3-vl-thinking', qwen3Thinking],
  ['qwen3.5', nemotron],
  ['ornith', nemotron],
  [
    'qwen3-coder',
    {
      thinking: false,
      tools: true,
      preservedTokens: qwen3PreservedTokens,
      create: ({ tools }) => createQwen3CoderParser(tools),
    },
  ],
  ['deepseek3', deepseek3],
  ['cogito', deepseek3],
  ['glm-4.6', glm4],
  ['glm-4.7', glm4],
  ['passthrough', passthrough],
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
