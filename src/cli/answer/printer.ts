import type { ToolCall } from '../api-types.ts'
import { bold, grey, plain } from '../terminal/codes.ts'
import { createWordWrap } from './word-wrap.ts'

/** A piece of an answer. */
export interface AnswerPart {
  thinking?: string | undefined
  content?: string | undefined
  toolCalls?: ToolCall[] | undefined
}

export interface AnswerPrinterOptions {
  hideThinking: boolean
  wordWrap: boolean
}

export interface AnswerPrinter {
  print(part: AnswerPart): void
  /** Sets the terminal's colour right when an answer stops in the middle. */
  end(): void
}

/** Where an answer goes: stdout. */
export interface AnswerOutput {
  write(text: string): unknown
  isTTY?: boolean
  columns?: number
}

/** Prints an answer as it comes: thinking set apart, in grey on a terminal; lines broken between words there. */
export function createAnswerPrinter(
  { hideThinking, wordWrap }: AnswerPrinterOptions,
  out: AnswerOutput = process.stdout,
): AnswerPrinter {
  const newWrap = () => createWordWrap(wordWrap && out.isTTY ? (out.columns ?? 0) : 0)
  const [open, close] = out.isTTY
    ? [`${grey}${bold}Thinking...\n${plain}${grey}`, `${grey}${bold}...done thinking.\n\n${plain}`]
    : ['Thinking...\n', '...done thinking.\n\n']
  let wrap = newWrap()
  let thinking = false
  let thoughtEndsLine = false
  const endThinking = () => {
    if (!thinking) return
    thinking = false
    out.write((thoughtEndsLine ? '' : '\n') + close)
    wrap = newWrap()
  }
  return {
    print: ({ thinking: thought = '', content = '', toolCalls = [] }) => {
      if (thought !== '' && !hideThinking) {
        if (!thinking) out.write(open)
        thinking = true
        thoughtEndsLine = thought.endsWith('\n')
        out.write(wrap(thought))
      }
      if (content !== '' || toolCalls.length > 0) endThinking()
      if (content !== '') out.write(wrap(content))
      for (const call of toolCalls) out.write(`${describeCall(call, out.isTTY === true)}\n`)
    },
    end: () => {
      if (thinking && out.isTTY) out.write(plain)
    },
  }
}

/** No tools can be given on the command line: a model that calls one has made it up. */
function describeCall({ function: { name, arguments: values } }: ToolCall, coloured: boolean): string {
  const text = `  Model called a non-existent function '${name}()' with arguments: ${JSON.stringify(values)}`
  return coloured ? `${grey}${text}${plain}` : text
}
