import type { DeviceReading, DeviceState, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { problemOf } from './problems.ts'

/** The state behind nvidia-smi's words for a card that did not answer. */
export function stateOfWords(words: string): Exclude<DeviceState, 'ok' | 'hidden' | 'excluded'> {
  if (/lost|fallen off|requires? (a )?reset|reset required/i.test(words)) return 'lost'
  return /permission/i.test(words) ? 'no_permission' : 'error'
}

const noHandle = /unable to determine the device handle for gpu\s*(.*)$/i

/**
 * The card behind a line such as `Unable to determine the device handle for GPU0000:02:00.0: Unknown Error`, which
 * nvidia-smi prints in the middle of any output; undefined for other lines. Drivers write the number, the address or
 * both.
 */
export function lostCardOf(line: string, source: string): DeviceReading | undefined {
  const rest = noHandle.exec(line)?.[1]
  if (rest === undefined) return undefined
  // `0: 0000:01:00.0: …` has both; in `0000:02:00.0: …` the digits are the domain.
  const index = /^(\d{1,3}):(?=\s)/.exec(rest)?.[1]
  const withoutIndex = index === undefined ? rest : rest.slice(index.length + 1)
  const reason = withoutIndex.replace(/^\s*[0-9a-f:]*\.[0-7]\s*:?/i, '').trim()
  return present({
    vendor: 'nvidia' as const,
    source,
    index: index === undefined ? undefined : Number(index),
    pciAddress: pciAddressOf(withoutIndex),
    state: stateOfWords(reason),
    stateReason: reason === '' ? 'the driver gave no handle for it' : reason,
  })
}

/** Cards that did not answer and other messages, wherever they stand in a tool's output. */
export function messagesOf(text: string, source: string): { devices: DeviceReading[]; notes: string[] } {
  const devices: DeviceReading[] = []
  const notes: string[] = []
  for (const line of text.split('\n')) {
    const card = lostCardOf(line, source)
    if (card !== undefined && !devices.some((other) => sameCard(card, other))) devices.push(card)
    if (card !== undefined || /^\s*warning:/i.test(line)) notes.push(line.trim())
  }
  return { devices, notes: [...new Set(notes)] }
}

function sameCard(a: DeviceReading, b: DeviceReading): boolean {
  return a.pciAddress === undefined ? a.index === b.index : a.pciAddress === b.pciAddress
}

const tool = 'nvidia-smi (message)'

/** What nvidia-smi says instead of an answer: cards that did not answer, no devices, a driver that is not there. */
export const messageReader: OutputReader = {
  tool,
  matches: (text) =>
    text
      .slice(0, 20_000)
      .split('\n')
      .some((line) => noHandle.test(line)) || problemOf(text) !== undefined,
  read(text) {
    const { devices, notes } = messagesOf(text, 'nvidia-smi')
    if (devices.length > 0) return readingOf(tool, { devices, notes })
    const problem = problemOf(text)
    if (problem?.kind === 'no_devices') return readingOf(tool, { notes: [problem.text] })
    return refused(problem?.text ?? 'no message of nvidia-smi is in this text')
  },
}
