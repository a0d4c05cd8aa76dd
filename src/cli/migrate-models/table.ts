import { formatBytes, formatTable } from '../format.ts'
import type { Examination, ExaminedModel } from './examine.ts'

const words: Readonly<Record<ExaminedModel['state'], string>> = {
  fits: 'fits',
  too_large: 'too large',
  foreign: 'other loader',
  remote: 'elsewhere',
  broken: 'broken',
}

/** A row for each model, then what is wrong with any of them and what to do. */
export function examinationTable({ root, models, unused, partial }: Examination): string {
  if (models.length === 0) return `${root} has no models\n`
  const rows = models.map(({ name, sizeBytes, quantization = '-', state, plan }) => [
    name,
    formatBytes(sizeBytes),
    quantization,
    words[state],
    plan ? howOf(plan) : '-',
    plan ? `${figure(plan.decodeTokensPerS)} tok/s` : '-',
    plan ? `${plan.slots} x ${plan.contextLength}` : '-',
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
    leftovers.join(''),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

function howOf({ strategy, instances, devices, engine }: NonNullable<ExaminedModel['plan']>): string {
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
