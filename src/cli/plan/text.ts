import type { EngineCommand } from '../../engines/index.ts'
import {
  drawPlan,
  type Inventory,
  type ModelReport,
  type PictureOptions,
  type PlanReport,
} from '../../placement/index.ts'

/** Of one model, alone or among others. */
export type Planned = Extract<ModelReport, { ok: true }> & { inventory: Inventory }
type Report = Extract<PlanReport, { ok: true }>
type Refused = Extract<PlanReport, { ok: false }>

/** Layouts that were not taken, of which a reader wants to know. */
const mostRejected = 8

/** A plan as the command prints it. */
export function planText(report: Report, options: Required<PictureOptions>): string {
  const [best] = report.plans
  const { name, fileType } = report.subject
  return [
    drawPlan(best, { name, fileType }, report.inventory, options),
    speedLines(best.speed, options.width),
    commandLines(report),
    opinionLines(report),
    listed('Why', best.reasons, options.width),
    rejectedLines(report.rejected, options.width),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

/** Why nothing fits, and what would. */
export function refusalText({ message, suggestions, rejected }: Refused, width = 80): string {
  const [reason = message] = message.split('; ')
  return [`Error: ${reason}\n`, listed('What would help', suggestions, width), rejectedLines(rejected, width)]
    .filter((part) => part !== '')
    .join('\n')
}

/** What to expect of a plan; `shared`: what more there is to say of one stream. */
export function speedLines(speed: Planned['plans'][0]['speed'], width: number, shared = ''): string {
  const { decodeTokensPerS, throughputTokensPerS, prefillTokensPerS, ttftMs, promptTokens, watts } = speed
  const parts = [
    `${rateText(decodeTokensPerS)} tokens/s for one stream${shared}`,
    `${rateText(throughputTokensPerS)} for all slots together`,
    `prompts at ${rateText(prefillTokensPerS)} tokens/s (first token of ${promptTokens} after ${timeText(ttftMs)})`,
    ...(watts === undefined ? [] : [`up to ${Math.round(watts)} W`]),
  ]
  return `${folded(`Expected: ${parts.join(', ')}`, width, '  ')}\n`
}

export const rateText = (perS: number) => (perS >= 100 ? perS.toFixed(0) : perS.toPrecision(3))

function timeText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  return `${(ms / 1000).toFixed(ms < 10_000 ? 1 : 0)} s`
}

/** The engines' processes, as a shell takes them. */
export function commandLines({ commands: groups, plans: [{ instances }], inventory }: Planned): string {
  if (groups.length === 0) return ''
  const several = inventory.nodes.length > 1
  const texts = groups.map(({ instance, count, commands }) => {
    const node = several && count === 1 ? instances[instance]?.node : undefined
    const times =
      count > 1
        ? `  # ${count} of ${instances.length} instances, each with devices and a port of its own\n`
        : ''
    return (
      times +
      commands.map((command) => commandText({ ...(node !== undefined && { node }), ...command })).join('')
    )
  })
  return `Commands:\n${texts.join('')}`
}

const gib = 2 ** 30

/** What llama.cpp's own program reckons, beside the plan's figures. */
function opinionLines({ opinion, plans: [{ instances }], inventory }: Report): string {
  const [first] = instances
  if (!opinion || !first) return ''
  const texts = opinion.devices.map(({ name, host, modelBytes, kvCacheBytes, computeBytes }) => {
    const ids = inventory.devices.filter(({ engineName }) => engineName === name).map(({ id }) => id)
    const own = first.parts.filter(({ kind, deviceId }) => (host ? kind === 'cpu' : ids.includes(deviceId)))
    const memories = [...own.map(({ memory }) => memory), ...(host ? [first.host] : [])]
    const planned = memories.reduce((sum, memory) => sum + memory.totalBytes - memory.overheadBytes, 0)
    const told = modelBytes + kvCacheBytes + computeBytes
    return `${name}: ${(told / gib).toFixed(2)} GiB, planned ${(planned / gib).toFixed(2)} GiB`
  })
  return listed('A second opinion of llama-fit-params (without overheads)', texts, 80)
}

/** One process, as a shell takes it. */
function commandText({ node, env, argv }: EngineCommand): string {
  const words = [...Object.entries(env).map(([key, value]) => `${key}=${quoted(value)}`), ...argv.map(quoted)]
  // A flag keeps its value beside it.
  const pieces: string[] = []
  for (const word of words) {
    const last = pieces.at(-1)
    if (last?.startsWith('-') && !last.includes(' ') && !word.startsWith('-'))
      pieces[pieces.length - 1] = `${last} ${word}`
    else pieces.push(word)
  }
  const where = node === undefined ? '' : `  # on ${node}\n`
  return `${where}${lineUp(pieces)}\n`
}

const commandWidth = 76

/** Pieces in lines, each but the last ending in a backslash. */
function lineUp(pieces: readonly string[]): string {
  const lines: string[] = []
  let line = ' '
  for (const piece of pieces) {
    if (line.trim() !== '' && line.length + 1 + piece.length > commandWidth) {
      lines.push(line)
      line = '     '
    }
    line += ` ${piece}`
  }
  return [...lines, line].join(' \\\n')
}

function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
}

function rejectedLines(rejected: PlanReport['rejected'], width: number): string {
  const shown = rejected.slice(0, mostRejected).map(({ what, reason }) => `${what}: ${reason}`)
  const more = rejected.length - shown.length
  return listed('Not taken', more > 0 ? [...shown, `and ${more} more (--json tells them)`] : shown, width)
}

/** A title with a point for each text; nothing where there is none. */
export function listed(title: string, texts: readonly string[], width: number): string {
  if (texts.length === 0) return ''
  return `${title}:\n${texts.map((text) => `${folded(`  - ${text}`, width, '    ')}\n`).join('')}`
}

/** A text in lines of `width`, the second and later ones after `margin`. */
function folded(text: string, width: number, margin: string): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(/(?<=\S) /)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = margin + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}
