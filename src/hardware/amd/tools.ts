import type {
  DeviceReading,
  HostSystem,
  LinkReading,
  OutputReader,
  PlaceReading,
  ProgramResult,
} from '../contract.ts'
import { rocmJsonReader } from './rocm-smi.ts'
import { smiJsonReader } from './smi.ts'
import { topologyJsonReader } from './smi-topology.ts'

const timeoutMs = 2000

/** What AMD's tools tell of the cards, and what went wrong in asking them. */
export interface ToolAnswers {
  devices: DeviceReading[]
  links: LinkReading[]
  places: PlaceReading[]
  problems: string[]
}

interface Question {
  program: string
  args: readonly string[]
  reader: OutputReader
}

const amdSmi: readonly Question[] = [
  { program: 'amd-smi', args: ['static', '--json'], reader: smiJsonReader },
  { program: 'amd-smi', args: ['topology', '--json'], reader: topologyJsonReader },
]

const rocmSmi: readonly Question[] = [
  {
    program: 'rocm-smi',
    args: [
      '--showid',
      '--showuniqueid',
      '--showproductname',
      '--showbus',
      '--showvbios',
      '--showserial',
      '--showdriverversion',
      '--showmaxpower',
      '--showmeminfo',
      'vram',
      '--json',
    ],
    reader: rocmJsonReader,
  },
  { program: 'rocm-smi', args: ['--showtopo', '--json'], reader: rocmJsonReader },
]

interface Answer {
  devices: DeviceReading[]
  links: LinkReading[]
  places: PlaceReading[]
  problem?: string
  missing?: true
}

/** Asks amd-smi, and rocm-smi where that gives no card. `hasCards`: the kernel shows cards. */
export async function askTools(system: HostSystem, hasCards: boolean): Promise<ToolAnswers> {
  const first = await askAll(system, amdSmi, hasCards)
  if (first.devices.length > 0) return first
  const second = await askAll(system, rocmSmi, hasCards)
  return { ...second, problems: [...first.problems, ...second.problems] }
}

async function askAll(
  system: HostSystem,
  questions: readonly Question[],
  hasCards: boolean,
): Promise<ToolAnswers> {
  const answers = await Promise.all(questions.map((question) => ask(system, question, hasCards)))
  const [about, ways] = answers
  const devices = about?.devices ?? []
  // Of one card there are no ways to tell, which some versions call a failure.
  const problems = answers.flatMap((answer) =>
    answer.problem === undefined || (answer === ways && devices.length === 1) ? [] : [answer.problem],
  )
  return {
    devices,
    links: ways?.links ?? [],
    places: [...(about?.places ?? []), ...(ways?.places ?? [])],
    problems: [...new Set(problems)],
  }
}

async function ask(
  system: HostSystem,
  { program, args, reader }: Question,
  hasCards: boolean,
): Promise<Answer> {
  const none = { devices: [], links: [], places: [] }
  const result = await system.run(program, args, timeoutMs)
  if (result.outcome === 'missing') return { ...none, missing: true }
  // Some versions end with an error for a single figure that they could not read, after all the others.
  const read = reader.matches(result.stdout) ? reader.read(result.stdout) : undefined
  if (read?.ok) return read.reading
  if (result.outcome === 'failed' && !hasCards && saysNoCard(result)) return none
  const command = `${program} ${args.join(' ')}`
  return {
    ...none,
    problem: `"${command}" ${whatFailed(result, read?.reason)}. Drover goes on with what the kernel tells.`,
  }
}

/** The tools are installed, on a machine without a card or a driver: that is no failure of theirs. */
function saysNoCard({ stdout, stderr }: ProgramResult): boolean {
  return /driver not (initialized|loaded|found)|not loaded|NOT_INIT|NO_DRV|DRIVER_NOT_LOADED|no (amd )?gpus?\b|unable to (detect|find)/i.test(
    `${stdout} ${stderr}`,
  )
}

function whatFailed(
  { outcome, stdout, stderr, exitCode }: ProgramResult,
  reason: string | undefined,
): string {
  if (outcome === 'timeout') {
    return `gave no answer within ${timeoutMs / 1000} s: a card or the driver hangs; look for "amdgpu" in "dmesg", and restart the machine if it stays so`
  }
  const words = `${stderr}\n${stdout}`.split('\n').find((line) => line.trim() !== '')
  const said = words === undefined ? '' : ` ("${words.trim().slice(0, 200)}")`
  if (outcome === 'failed') {
    return `failed with code ${exitCode ?? 'unknown'}${said}: run it by hand; its version must fit the driver's`
  }
  return `printed what cannot be read${said}: ${reason ?? 'no JSON of a known form'}; update it with ROCm`
}
