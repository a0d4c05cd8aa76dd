import { expect } from 'vitest'
import type { Message, Tool, ToolProperty } from '../../inference/index.ts'
import type { OutputParser, OutputPiece } from '../contract.ts'

/** What a client sees of an output: texts, thoughts and calls in order, neighbours of a kind joined. */
export type Seen = { text: string } | { thought: string } | { call: string; args: Record<string, unknown> }

/**
 * Parses an output whole, cut once at every position, and character by character, and expects the same of all.
 * Gives what a client sees.
 */
export function parseEveryWay(createParser: () => OutputParser, output: string): Seen[] {
  const whole = parseParts(createParser(), [output])
  const cuts = Array.from({ length: output.length + 1 }, (_, at) => [output.slice(0, at), output.slice(at)])
  for (const parts of [...cuts, [...output]]) {
    expect(parseParts(createParser(), parts), JSON.stringify(parts)).toEqual(whole)
  }
  return whole
}

/** Parses an output that comes in the given parts. */
export function parseParts(parser: OutputParser, parts: readonly string[]): Seen[] {
  return see([...parts.flatMap((part) => parser.push(part)), ...parser.end()])
}

function see(pieces: readonly OutputPiece[]): Seen[] {
  const seen: Seen[] = []
  let calls = 0
  for (const piece of pieces) {
    const last = seen.at(-1)
    if (piece.type === 'toolCall') {
      const { index, name, arguments: args } = piece.call.function
      expect(index).toBe(calls++)
      expect(piece.call.id).toMatch(/^call_[a-z0-9]{8}$/)
      seen.push({ call: name, args })
    } else if (piece.type === 'token') {
      if (last !== undefined && 'text' in last) last.text += piece.text
      else seen.push({ text: piece.text })
    } else if (last !== undefined && 'thought' in last) last.thought += piece.text
    else seen.push({ thought: piece.text })
  }
  return seen
}

/** A tool with these parameters, all of them required unless told otherwise. */
export function tool(
  name: string,
  properties: Record<string, ToolProperty>,
  required: string[] = Object.keys(properties),
  description = `Runs ${name}`,
): Tool {
  return {
    type: 'function',
    function: { name, description, parameters: { type: 'object', required, properties } },
  }
}

export const user = (content: string): Message => ({ role: 'user', content })
export const system = (content: string): Message => ({ role: 'system', content })
export const assistant = (content: string, more: Partial<Message> = {}): Message => ({
  role: 'assistant',
  content,
  ...more,
})
export const reply = (content: string, more: Partial<Message> = {}): Message => ({
  role: 'tool',
  content,
  ...more,
})

/** Calls as an earlier answer made them. */
export function calls(...made: [name: string, args: Record<string, unknown>][]): Partial<Message> {
  return {
    tool_calls: made.map(([name, args], index) => ({
      id: `call_${index}`,
      function: { index, name, arguments: args },
    })),
  }
}
