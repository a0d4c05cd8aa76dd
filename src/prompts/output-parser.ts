import type { OutputParser, OutputParserOptions, OutputPiece } from './contract.ts'
import { createThinkingParser, type ThinkingSplit } from './thinking-parser.ts'
import { createToolCallParser } from './tool-call-parser.ts'

/** Tells a model's output apart into text, thinking and tool calls, by the tags of its template. */
export function createOutputParser(options: OutputParserOptions): OutputParser {
  const { template, prompt, parseThinking, tools, think } = options
  if (template.parser) return template.parser.create({ prompt, tools, ...(think !== undefined && { think }) })
  const { thinkTags, toolTag } = template
  const thinking =
    parseThinking && thinkTags !== undefined
      ? createThinkingParser(thinkTags.open, thinkTags.close, prompt.trimEnd().endsWith(thinkTags.open))
      : undefined
  const calls = tools.length > 0 && toolTag !== undefined ? createToolCallParser(toolTag, tools) : undefined

  const content = (text: string): OutputPiece[] => {
    if (text === '') return []
    return calls?.push(text) ?? [{ type: 'token', text }]
  }
  const pieces = ({ thinking: thought, rest }: ThinkingSplit): OutputPiece[] =>
    thought === '' ? content(rest) : [{ type: 'thinking', text: thought }, ...content(rest)]

  return {
    push: (text) => (thinking === undefined ? content(text) : pieces(thinking.push(text))),
    end: () => [...(thinking === undefined ? [] : pieces(thinking.end())), ...(calls?.end() ?? [])],
  }
}
