import {
  describePlan,
  drawPlans,
  letterOf,
  type PictureOptions,
  type PlansReport,
} from '../../placement/index.ts'
import { formatNames } from '../format.ts'
import { commandLines, listed, rateText, speedLines } from './text.ts'

type OneOfThem = PlansReport['models'][number]

/** Plans of several models at the same time as the command prints them: who lies where, then each by itself. */
export function plansText(
  { models, reasons, inventory }: PlansReport,
  options: Required<PictureOptions>,
): string {
  const { width } = options
  const drawn = models.map((one) => (one.ok ? { model: one.subject, plan: one.plans[0] } : undefined))
  const sections = models.flatMap((one, at) => {
    if (!one.ok) return []
    const [plan] = one.plans
    return [
      describePlan(at, { model: one.subject, plan }, inventory, width) +
        speedLines(plan.speed, width, sharedText(one)),
      commandLines({ ...one, inventory }),
      listed('Why', plan.reasons, width),
    ]
  })
  return [
    drawPlans(drawn, inventory, options),
    ...sections,
    listed('All together', reasons, width),
    listed('Left out', leftOut(models), width),
  ]
    .filter((part) => part !== '')
    .join('\n')
}

function sharedText({ sharesWith, sharedDecodeTokensPerS: rate }: OneOfThem): string {
  return rate === undefined
    ? ''
    : ` (${rateText(rate)} beside ${formatNames(sharesWith)}, where all are busy)`
}

function leftOut(models: readonly OneOfThem[]): string[] {
  return models.flatMap((one, at) => {
    if (one.ok) return []
    const [reason = one.message, advice] = one.message.split('; ')
    const evicts = one.evicts ?? []
    const then =
      evicts.length > 0
        ? `it takes turns: when it is asked for, ${evicts.join(', ')} would have to leave`
        : `not even alone; ${advice ?? one.suggestions.join(', or ')}`
    return [`${letterOf(at)}  ${one.subject.name}: ${reason}; ${then}`]
  })
}
