import type { OutputReader } from '../contract.ts'
import { refused } from '../reading.ts'

/** `mx-smi` of MetaX is known only to be refused: no engine that Drover runs computes on these cards. */
export const metaxReader: OutputReader = {
  tool: 'mx-smi',
  matches: (text) =>
    /MetaX System Management Interface|\bMX-SMI \d|^[ \t]*mx-smi\b/m.test(text.slice(0, 20_000)),
  read(text) {
    const count = /Attached GPUs\s*:\s*(\d+)/.exec(text)?.[1]
    const cards = count === undefined ? 'MetaX cards' : `${count} MetaX cards`
    return refused(
      `mx-smi tells of ${cards}: Drover has no engine that computes on them, and does not use them`,
    )
  },
}
