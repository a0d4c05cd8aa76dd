import type { DeviceEvent } from '../contract.ts'

/**
 * `harmless`: the fault of a program, or only news; `degraded`: the card serves on, and wants a look or a reset when it
 * is idle; `failing`: give it no more work until it was reset; `lost`: gone until the machine restarts.
 */
export type XidSeverity = 'harmless' | 'degraded' | 'failing' | 'lost'

/** What an event means for the card, and what to do. */
export interface XidVerdict {
  severity: XidSeverity
  meaning: string
  advice: string
}

const advice = {
  program: 'Restart the program that used the card; look at the card only if it happens with others too.',
  reset: 'Take its work away, then reset the card (sudo nvidia-smi --gpu-reset -i <card>) or reboot.',
  resetWhenIdle: 'Let it serve on, and reset it when it is idle.',
  reboot: 'Reboot the machine; if it comes again, check power cables, riser and seat of the card.',
  watch: 'Nothing at once; if it comes often, report it with nvidia-bug-report.sh.',
  none: 'Nothing.',
  update: 'Update driver and firmware.',
  links:
    'Take the cards of that NVLink domain out of work that spans cards, check bridges or trays, then reset them.',
} as const

type Row = readonly [severity: XidSeverity, meaning: string, advice: string]

const engine = (what: string): Row => [
  'harmless',
  `an error in ${what} ended a program's work`,
  advice.program,
]

/**
 * Xid codes of the driver. The facts (what a code stands for, what NVIDIA asks to be done) are those of NVIDIA's Xid
 * catalogue, docs.nvidia.com/deploy/xid-errors; how grave each is to a server of models is Drover's own judgement.
 */
const table: Readonly<Record<number, Row>> = {
  8: ['harmless', "a program's commands stopped moving and its channel timed out", advice.program],
  11: ['harmless', 'a program sent broken commands', advice.program],
  13: ['harmless', "a program's kernel made an error, such as an address out of range", advice.program],
  25: ['harmless', 'a program sent an illegal command', advice.program],
  31: ['harmless', 'a program touched memory of the card that is not its own', advice.program],
  32: ['harmless', 'a program sent broken commands', advice.program],
  37: ['harmless', 'the firmware met a command that it does not know', advice.watch],
  38: ['degraded', 'the watchdog of the firmware ran out', advice.watch],
  43: ['harmless', "a program's channel was reset after it made an error", advice.program],
  44: ['degraded', 'an error while the card went from one program to another', advice.watch],
  45: ['harmless', "a program's work was removed after an earlier error, or as it was ended", advice.program],
  46: ['failing', 'the card has stopped working on what it was given', advice.reset],
  48: ['failing', 'an error in memory that could not be corrected', advice.reset],
  54: [
    'failing',
    'the extra power cable is not connected',
    'Connect the power cables of the card, then restart the machine.',
  ],
  60: engine('the video processor'),
  61: ['failing', 'an internal micro-controller stopped at a breakpoint or warned', advice.reset],
  62: ['failing', 'an internal micro-controller has halted', advice.reset],
  63: ['degraded', 'a bad row or page of memory is put aside at the next reset', advice.resetWhenIdle],
  64: [
    'failing',
    'a bad row or page of memory could not be put aside',
    `${advice.reset} If it comes again, replace the card.`,
  ],
  66: ['degraded', 'the driver made an illegal access', advice.watch],
  67: ['degraded', 'the driver made an illegal access', advice.watch],
  69: ['harmless', 'a program used the graphics engine wrongly', advice.program],
  74: ['failing', 'an NVLink has failed', advice.links],
  78: ['degraded', 'a virtual GPU could not start', advice.update],
  79: ['lost', 'the card has fallen off the bus', advice.reboot],
  80: ['harmless', 'data sent to the card arrived damaged', advice.program],
  81: ['failing', 'a fault of the VGA part', advice.reset],
  92: [
    'degraded',
    'many memory errors had to be corrected',
    'Watch its error counts; if they grow, have the card tested.',
  ],
  93: ['degraded', "the memory that holds the card's own records has been written too often", advice.watch],
  94: [
    'degraded',
    'an error in memory was kept to the program that met it',
    `Restart that program. ${advice.resetWhenIdle}`,
  ],
  95: ['failing', 'an error in memory reached more than one program', advice.reset],
  106: ['harmless', 'a test message', advice.none],
  107: ['harmless', 'a test message', advice.none],
  109: ['failing', 'going from one program to another took too long', advice.reset],
  110: ['failing', "a fault of the card's security", advice.reboot],
  119: [
    'failing',
    "the card's system processor (GSP) does not answer the driver",
    `${advice.reset} ${advice.update}`,
  ],
  120: ['failing', "the card's system processor (GSP) has crashed", `${advice.reset} ${advice.update}`],
  121: ['degraded', 'an error was corrected on the link between CPU and GPU', advice.watch],
  136: ['failing', 'a link could not be trained', advice.reset],
  137: ['harmless', 'a program on another card made an illegal access over NVLink', advice.program],
  140: ['failing', 'an error in memory could not be corrected', advice.reset],
  141: ['degraded', 'an error on the fast path of CUDA', advice.watch],
  143: ['failing', 'the card could not be started', advice.reset],
  151: ['failing', 'keys of confidential computing could not be changed', 'Restart the virtual machine.'],
  152: ['degraded', 'an error in the memory unit of an inference engine', advice.watch],
  153: ['degraded', 'an inference engine did not answer in time', advice.watch],
  155: ['degraded', 'NVLink changed its state by command of the software', advice.reset],
  156: ['degraded', 'a part of the card is put aside at the next reset', advice.resetWhenIdle],
  157: [
    'failing',
    'a part of the card could not be put aside',
    'Take its work away and have the card looked at.',
  ],
  158: ['failing', 'the card did not answer in time, and will not again', advice.reset],
  159: [
    'degraded',
    'an error on the coherent link, beside the data',
    'Check the driver (its UVM module) and the errors around this one.',
  ],
  160: ['degraded', 'a channel of memory was put aside', advice.resetWhenIdle],
  161: ['failing', 'a channel of memory could not be put aside', advice.reset],
  162: ['harmless', 'power smoothing is on again', advice.none],
  163: ['degraded', 'power smoothing is off', advice.watch],
  164: ['degraded', 'the circuit of power smoothing is near its end', advice.watch],
  165: ['degraded', 'the circuit of power smoothing is worn out', advice.watch],
  166: ['failing', 'encrypted traffic came before NVLink was set up for it', advice.links],
  167: ['failing', 'the PCIe link of the card did not answer in time', advice.reboot],
  168: ['degraded', 'the card starts with less memory, as a part of it is bad', advice.watch],
  169: ['failing', 'an internal micro-controller has halted', advice.reset],
  170: ['degraded', 'NVLink raised an alarm in confidential computing', advice.watch],
  171: ['failing', 'the error in memory that could not be corrected was in DRAM', advice.reset],
  172: ['failing', 'the error in memory that could not be corrected was in SRAM', advice.reset],
  142: engine('a video encoder'),
}

const copyEngines = [39, 40, 41, 70, 71, 72, 75, 76, 77, 85, 126, 127, 128, 129, 130, 131, 132, 133, 134, 135]
const videoDecoders = [68, 83, 84, 88, 89, 96, 97, 98]
const imageDecoders = [82, 99, 100, 101, 102, 103, 104, 105]
const opticalFlow = [86, 139]

/** Codes of one engine of which a card has several. */
const engines: ReadonlyMap<number, Row> = new Map([
  ...copyEngines.map((code) => [code, engine('a copy engine')] as const),
  ...videoDecoders.map((code) => [code, engine('a video decoder')] as const),
  ...imageDecoders.map((code) => [code, engine('an image decoder')] as const),
  ...opticalFlow.map((code) => [code, engine('the optical flow engine')] as const),
])

/** NVLink 5 errors, whose line says whether they are fatal. */
const nvlink5 = new Set([144, 145, 146, 147, 148, 149, 150])

/** The codes of which the table speaks. */
export const knownXids: readonly number[] = [
  ...new Set([...Object.keys(table).map(Number), ...engines.keys(), ...nvlink5, 154]),
].sort((a, b) => a - b)

/**
 * What an Xid means for the card. Some codes are judged by the line they stand in.
 *
 * @param text the line, or its part behind the code
 */
export function xidVerdict(code: number, text: string): XidVerdict {
  if (nvlink5.has(code)) return linkVerdict(text)
  if (code === 154) return recoveryVerdict(text)
  const [severity, meaning, what] = table[code] ??
    engines.get(code) ?? [
      'degraded',
      `the driver reported Xid ${code}, of which nothing is known here`,
      advice.watch,
    ]
  return { severity, meaning, advice: what }
}

/** Only the word `Nonfatal` says that the link goes on; where neither word stands, it is taken as fatal. */
function linkVerdict(text: string): XidVerdict {
  return /non-?fatal/i.test(text)
    ? { severity: 'degraded', meaning: 'an NVLink met an error and goes on', advice: advice.watch }
    : { severity: 'failing', meaning: 'an NVLink has failed', advice: advice.links }
}

/** Xid 154 names what the driver asks for: `… changed from 0x0 (None) to 0x1 (GPU Reset Required)`. */
function recoveryVerdict(text: string): XidVerdict {
  const action = /\bto 0x[0-9a-f]+ \(([^)]+)\)/i.exec(text)?.[1]
  if (action === undefined) {
    return {
      severity: 'degraded',
      meaning: 'the driver asks for another way of recovery',
      advice: advice.watch,
    }
  }
  const meaning = `the driver asks for this recovery: ${action}`
  if (/^none$/i.test(action)) return { severity: 'harmless', meaning, advice: advice.none }
  if (/reboot/i.test(action)) return { severity: 'failing', meaning, advice: advice.reboot }
  if (/p2p/i.test(action)) return { severity: 'degraded', meaning, advice: advice.links }
  return { severity: 'failing', meaning, advice: advice.reset }
}

/**
 * The same for a verdict over a card's health, which counts the faults of programs and passes over mere news.
 *
 * @param text as for `xidVerdict`; without it, codes that are judged by their line are taken at their gravest
 */
export function xidInfo(
  code: number,
  text = '',
): { severity: Exclude<XidSeverity, 'harmless'> | 'application' | 'none'; meaning: string; advice: string } {
  const { severity, ...verdict } = xidVerdict(code, text)
  if (severity !== 'harmless') return { severity, ...verdict }
  return { severity: verdict.advice === advice.none ? 'none' : 'application', ...verdict }
}

/** What an event of the kernel's log means for the card it names; undefined where it says nothing of its health. */
export function judgeEvent(event: Pick<DeviceEvent, 'kind' | 'code' | 'text'>): XidVerdict | undefined {
  switch (event.kind) {
    case 'xid':
      return event.code === undefined ? undefined : xidVerdict(event.code, event.text)
    case 'sxid':
      return /non-?fatal/i.test(event.text) || !/\bfatal\b/i.test(event.text)
        ? { severity: 'degraded', meaning: 'an NVSwitch met an error and goes on', advice: advice.watch }
        : { severity: 'failing', meaning: 'an NVSwitch has failed', advice: advice.links }
    case 'fallen_off_bus':
      return { severity: 'lost', meaning: 'the card has fallen off the bus', advice: advice.reboot }
    case 'driver_reset':
      return { severity: 'degraded', meaning: 'the driver was reset', advice: advice.watch }
    case 'other':
      return /could not start the card/i.test(event.text)
        ? { severity: 'failing', meaning: 'the driver could not start the card', advice: advice.reset }
        : undefined
  }
}
