/** A line of `/api/generate`'s stream; durations in nanoseconds. */
export interface GeneratePart {
  response?: string
  thinking?: string
  done?: boolean
  total_duration?: number
  load_duration?: number
  prompt_eval_count?: number
  prompt_eval_duration?: number
  eval_count?: number
  eval_duration?: number
}

export interface AnswerPrinterOptions {
  hidethinking?: boolean
  verbose?: boolean
}

export interface AnswerPrinter {
  print(part: GeneratePart): void
  /** Ends the line; prints the timings when they were asked for. */
  end(): void
}

/** Prints a streamed answer, thinking set apart, to stdout, and timings to stderr. */
export function createAnswerPrinter(
  { hidethinking = false, verbose = false }: AnswerPrinterOptions,
  out: { write(text: string): void } = process.stdout,
  err: { write(text: string): void } = process.stderr,
): AnswerPrinter {
  let thinking = false
  let last: GeneratePart = {}
  const endThinking = () => {
    if (thinking) out.write('\n...done thinking.\n\n')
    thinking = false
  }
  return {
    print: (part) => {
      last = part
      if (part.thinking && !hidethinking) {
        if (!thinking) out.write('Thinking...\n')
        thinking = true
        out.write(part.thinking)
      }
      if (part.response) {
        endThinking()
        out.write(part.response)
      }
    },
    end: () => {
      endThinking()
      out.write('\n')
      if (verbose) err.write(formatTimings(last))
    },
  }
}

const perSecond = 1e9

/** Ollama's footer of `run --verbose`. */
function formatTimings(part: GeneratePart): string {
  const lines: [string, string][] = []
  const duration = (name: string, ns: number | undefined) => {
    if (ns !== undefined) lines.push([`${name} duration:`, `${(ns / perSecond).toFixed(3)}s`])
  }
  const rate = (name: string, count: number | undefined, ns: number | undefined) => {
    if (!count) return
    lines.push([`${name} count:`, `${count} token(s)`])
    duration(name, ns)
    if (ns) lines.push([`${name} rate:`, `${((count / ns) * perSecond).toFixed(2)} tokens/s`])
  }
  duration('total', part.total_duration)
  duration('load', part.load_duration)
  rate('prompt eval', part.prompt_eval_count, part.prompt_eval_duration)
  rate('eval', part.eval_count, part.eval_duration)
  return lines.map(([name, value]) => `${name.padEnd(22)}${value}\n`).join('')
}
