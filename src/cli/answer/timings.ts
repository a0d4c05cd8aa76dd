import { formatGoDuration } from '../format.ts'

/** What the last line of an answer tells about it; durations in nanoseconds. */
export interface AnswerTimings {
  total_duration?: number
  load_duration?: number
  prompt_eval_count?: number
  prompt_eval_duration?: number
  eval_count?: number
  eval_duration?: number
}

/** Ollama's footer of `run --verbose`. */
export function formatTimings(timings: AnswerTimings): string {
  const lines: [string, string][] = []
  const duration = (name: string, ns = 0) => {
    if (ns > 0) lines.push([`${name} duration:`, formatGoDuration(ns)])
  }
  const rate = (name: string, count = 0, ns = 0) => {
    if (count > 0) lines.push([`${name} count:`, `${count} token(s)`])
    duration(name, ns)
    if (ns > 0) lines.push([`${name} rate:`, `${((count / ns) * 1e9).toFixed(2)} tokens/s`])
  }
  duration('total', timings.total_duration)
  duration('load', timings.load_duration)
  rate('prompt eval', timings.prompt_eval_count, timings.prompt_eval_duration)
  rate('eval', timings.eval_count, timings.eval_duration)
  return lines.map(([name, value]) => `${name.padEnd(22)}${value}\n`).join('')
}
