import type { DeviceEvent, DeviceReading, OutputReader } from '../contract.ts'
import { readingOf, refused } from '../reading.ts'
import { pciAddressOf, present } from '../units.ts'
import { judgeEvent } from './xid.ts'

const tool = 'kernel log'

/** An event of the kernel's log; when it happened is for the one who reads the log to say. */
export type KernelEvent = Omit<DeviceEvent, 'atMs'>

/** `NVRM: Xid (PCI:0000:01:00): 79, …`; MIG puts its instance inside the brackets, drivers before 400 leave `PCI:` out. */
const xidLine = /NVRM:\s*Xid \((?:PCI:)?([0-9a-f:.]+)[^)]*\):\s*(\d+)\s*,?\s*(.*)$/is
/** `nvidia-nvswitch0: SXid (PCI:0000:05:00.0): 12028, Non-fatal, …` */
const sxidLine = /SXid \((?:PCI:)?([0-9a-f:.]+)[^)]*\):\s*(\d+)?[^,]*,?\s*(.*)$/is
const fallenWords = /fallen off the bus/i
const addressWords = /(?:[0-9a-f]{4,8}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]/i
const initLine =
  /NVRM:\s*GPU\s+([0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7]):\s*((?:RmInitAdapter|rm_init_adapter) failed.*)$/is

/**
 * The NVIDIA event in one record of the kernel's log, whatever stands before it (dmesg, journal, `/dev/kmsg`); undefined
 * where there is none.
 */
export function parseXid(line: string): KernelEvent | undefined {
  // /dev/kmsg writes a line break inside a record as \x0a.
  const text = line.slice(0, 4000).replaceAll('\\x0a', ' ').trim()
  if (!/NVRM|SXid/i.test(text)) return undefined
  const xid = xidLine.exec(text)
  if (xid !== null) return eventOf('xid', xid[1], xid[2], `Xid ${xid[2]}${tailOf(xid[3])}`)
  const sxid = sxidLine.exec(text)
  if (sxid !== null)
    return eventOf(
      'sxid',
      sxid[1],
      sxid[2],
      `SXid${sxid[2] === undefined ? '' : ` ${sxid[2]}`}${tailOf(sxid[3])}`,
    )
  if (fallenWords.test(text)) {
    return eventOf(
      'fallen_off_bus',
      addressWords.exec(text)?.[0],
      undefined,
      'the card has fallen off the bus',
    )
  }
  const init = initLine.exec(text)
  return init === null
    ? undefined
    : eventOf('other', init[1], undefined, `the driver could not start the card: ${init[2]}`)
}

const tailOf = (words: string | undefined): string =>
  words === undefined || words.trim() === '' ? '' : `: ${words.trim()}`

function eventOf(
  kind: DeviceEvent['kind'],
  address: string | undefined,
  code: string | undefined,
  text: string,
): KernelEvent {
  return present({
    kind,
    code: code === undefined ? undefined : Number(code),
    pciAddress: withFunction(address),
    text,
  })
}

/** The kernel leaves the function out: `0000:01:00` is function 0. */
function withFunction(address: string | undefined): string | undefined {
  return address === undefined ? undefined : pciAddressOf(address.includes('.') ? address : `${address}.0`)
}

/** All NVIDIA events of a log, in order; the lines of a message that was broken up are put together again. */
export function eventsOf(log: string): KernelEvent[] {
  const lines = log.split(/\r?\n/)
  const events: KernelEvent[] = []
  lines.forEach((line, at) => {
    const open = /NVRM: The NVIDIA GPU/i.test(line) && !/fallen off/i.test(line)
    const event = parseXid(open ? lines.slice(at, at + 4).join(' ') : line)
    // The end of a message that was read with its beginning.
    const told =
      event?.kind === 'fallen_off_bus' &&
      event.pciAddress === undefined &&
      events.at(-1)?.kind === 'fallen_off_bus'
    if (event !== undefined && !told) events.push(event)
  })
  return events
}

/** A kernel log (dmesg, journal, `/dev/kmsg`): cards that it says are lost, and each event as a note. */
export const kernelLogReader: OutputReader = {
  tool,
  matches: (text) =>
    /NVRM:|SXid \(|nvidia-peermem|^kern +:\w+ *:|^\d+,\d+,\d+,[^;\n]*;/m.test(text.slice(0, 200_000)),
  read(text) {
    const events = eventsOf(text)
    if (events.length === 0) return refused(`${tool}: no Xid, no SXid and no lost NVIDIA card is in it`)
    const lost = new Map<string, DeviceReading>()
    for (const event of events) {
      const { pciAddress, text: words } = event
      if (pciAddress === undefined || judgeEvent(event)?.severity !== 'lost') continue
      lost.set(pciAddress, { vendor: 'nvidia', source: tool, pciAddress, state: 'lost', stateReason: words })
    }
    const notes = events.map(({ pciAddress, text: words }) => `${pciAddress ?? 'a card'}: ${words}`)
    return readingOf(tool, { devices: [...lost.values()], notes: [...new Set(notes)] })
  },
}
