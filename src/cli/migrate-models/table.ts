import { formatBytes, formatNames, formatTable } from '../format.ts'
import type { Examination, ExaminedModel } from './examine.ts'
import type { ModelPlan } from './model-plan.ts'
import type { TogetherExamined } from './together.ts'

const words: Readonly<Record<ExaminedModel['state'], string>> = {
  fits: 'fits',
  too_large: 'too large',
  foreign: 'other loader',
  remote: 'elsewhere',
  broken: 'broken',
}

/** A row for each model, then what is wrong with any of them and what to do. */
export function examinationTable({ root, models, together, unused, partial }: Examination): string {
  if (models.length === 0) return `${root} has no models\n`
  const rows = models.map(({ name, sizeBytes, quantization = '-', state, plan }) => [
    name,
    formatBytes(sizeBytes),
    quantization,
    words[state],
    ...(plan ? cellsOf(plan) : ['-', '-', '-']),
  ])
  const titles = ['NAME', 'SIZE', 'QUANTIZATION', 'HERE', 'LAYOUT', 'SPEED', 'CONTEXT']
  const problems = models.flatMap(({ name, problems: own }) =>
    own.map(({ text, advice }) => `! ${name}: ${text}${advice === '' ? '' : `\n  ${advice}`}\n`),
  )
  const good = models.filter(({ state }) => state === 'fits').length
  const leftovers = [
    ...(unused.blobs > 0
      ? [`${count(unused.blobs, 'blob')} (${formatBytes(unused.bytes)}) that no model uses`]
      : []),
    ...(partial.blobs > 0
      ? [`${count(partial.blobs, 'file')} (${formatBytes(partial.bytes)}) of downloads that were broken off`]
      : []),
  ].map((what) => `${what}: a server removes them in time, unless OLLAMA_NOPRUNE is set\n`)
  return [
    formatTable(titles, rows),
    problems.join(''),
    `${good} of ${count(models.length, 'model')} in ${root} can run here. Speeds are planned, for one stream: \`drover benchmark\` measures them.\n`,
    together ? togetherText(together) : '',
    leftovers.join(''),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

/** Layout, speed and context. */
function cellsOf(plan: ModelPlan): [string, string, string] {
  return [howOf(plan), `${figure(plan.decodeTokensPerS)} tok/s`, `${plan.slots} x ${plan.contextLength}`]
}

/** Which models can be loaded at the same time, and why not the others. */
function togetherText({ models, leftOut, reasons, maxLoadedModels }: TogetherExamined): string {
  const rows = models.map(({ name, plan, sharesWith }) => [
    name,
    ...cellsOf(plan),
    [...new Set(plan.devices.map(({ deviceId }) => deviceId))].join(', '),
    sharesWith.length > 0 ? formatNames(sharesWith) : '-',
  ])
  const titles = ['NAME', 'LAYOUT', 'SPEED', 'CONTEXT', 'DEVICES', 'IN TURNS WITH']
  const same = [...models, ...leftOut].flatMap(({ name, aliases }) =>
    aliases.length > 0 ? [`${aliases.join(', ')}: the same files as ${name}, served with it\n`] : [],
  )
  const limit =
    models.length > maxLoadedModels
      ? [
          `A server has at most ${count(maxLoadedModels, 'model')} loaded at once, unless OLLAMA_MAX_LOADED_MODELS is more.\n`,
        ]
      : []
  const missing = leftOut.map(
    ({ name, reason, evicts }) =>
      `! ${name}: ${reason}\n  It takes turns: ${evicts.join(', ')} would have to leave for it.\n`,
  )
  const all = models.length + leftOut.length
  return [
    `At the same time ${models.length} of ${count(all, 'model')} can be loaded:\n\n`,
    formatTable(titles, rows),
    ...missing,
    ...same,
    ...reasons.map((reason) => `${reason}\n`),
    ...limit,
  ].join('')
}

function howOf({ strategy, instances, devices, engine }: ModelPlan): string {
  const gpus = devices.filter(({ kind }) => kind === 'gpu').length
  const cpu = devices.some(({ kind, layers }) => kind === 'cpu' && layers > 0)
  const where = [...(gpus > 0 ? [count(gpus, 'GPU')] : []), ...(cpu ? ['CPU'] : [])].join(' + ')
  const place = where === '' ? 'CPU' : where
  if (instances > 1) return `${instances} copies, each on ${place}, ${engine}`
  return `${strategy} on ${place}, ${engine}`
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`
}

function figure(value: number): string {
  return value >= 100 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))
}
