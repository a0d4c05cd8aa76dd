import type { OutputReader, ThrottleReason } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'

const tool = 'pmset -g therm'

/** What the machine as a whole was slowed for; undefined where the text tells neither. */
function throttleOf(text: string): { reasons: ThrottleReason[]; notes: string[] } | undefined {
  const [, level] = /thermal warning level\s*(?:=|:|is)?\s*(\d+)/i.exec(text) ?? []
  const [, speed] = /CPU_Speed_Limit\s*=\s*(\d+)/.exec(text) ?? []
  const isNominal = /No thermal warning level has been recorded/i.test(text)
  if (level === undefined && speed === undefined && !isNominal) return undefined
  const slowed = speed !== undefined && Number(speed) < 100
  const warned = level !== undefined && Number(level) > 0
  return {
    reasons: slowed || warned ? ['sw_thermal'] : [],
    notes: slowed ? [`the processor is held at ${speed} % of its speed`] : [],
  }
}

/** `pmset -g therm`: whether macOS slows the machine because it is hot. */
export const pmsetReader: OutputReader = {
  tool,
  matches: (text) => /thermal warning level|CPU_Speed_Limit/i.test(text),
  read(text) {
    const told = throttleOf(text)
    if (told === undefined) return refused('neither a thermal warning level nor a speed limit')
    const sensors = { throttle: told.reasons }
    return readingOf(tool, {
      devices: [{ vendor: 'apple', source: tool, index: 0, sensors }],
      notes: told.notes,
    })
  },
}
