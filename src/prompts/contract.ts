import type { Message, Think, Tool, ToolCall } from '../inference/index.ts'

/** What a template can express. */
export interface TemplateCapabilities {
  tools: boolean
  /** It also renders earlier calls and the tools' replies. */
  toolRoundTrip: boolean
  thinking: boolean
  /** It has a place for a suffix (fill in the middle). */
  insert: boolean
}

/** A conversation to render. */
export interface PromptTurn {
  messages: Message[]
  tools: Tool[]
  /** Absent: nothing was said about thinking. */
  think?: Think
}

/** A compiled chat template, whatever its language. Pure: the same turn gives the same text, dates apart. */
export interface PromptTemplate {
  readonly language: 'go' | 'jinja' | 'builtin'
  readonly source: string
  readonly capabilities: TemplateCapabilities
  /** The tags around thinking in the model's output; absent where the template shows none. */
  readonly thinkTags?: { open: string; close: string }
  /** The text that begins a tool call in the model's output; absent where the template has no tools. */
  readonly toolTag?: string
  /** What reads the output of a family that has a parser of its own; tags count for nothing then. */
  readonly parser?: Parser
  /** Throws `DroverError` `invalid_request` with the template's own complaint (`raise_exception`, a bad field). */
  render(turn: PromptTurn): string
  /** Throws `DroverError` `unsupported` where `capabilities.insert` is false. */
  renderInsert(prompt: string, suffix: string): string
}

/** Output told apart into what the client sees. */
export type OutputPiece =
  | { type: 'token'; text: string }
  | { type: 'thinking'; text: string }
  | { type: 'toolCall'; call: ToolCall }

/** Takes a model's output as it comes, cut anywhere, and gives its pieces as soon as they are certain. */
export interface OutputParser {
  push(text: string): OutputPiece[]
  /** The output is over: what was held back comes out. */
  end(): OutputPiece[]
}

export interface OutputParserOptions {
  template: PromptTemplate
  /** The rendered prompt: thinking may already be open at its end. */
  prompt: string
  /** False leaves think tags in the text; true takes them out. */
  parseThinking: boolean
  /** No tools: calls stay in the text. */
  tools: Tool[]
  /** As the prompt was rendered with. */
  think?: Think
}

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
