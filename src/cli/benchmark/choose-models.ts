/** A size that is further away than this share of what was asked for is another size. */
const nearEnough = 0.35

interface Installed {
  name: string
  parameterSize?: string
}

/**
 * The models to measure: names as they are, and for each size (`8B`) the installed model whose size is nearest. Throws
 * where there is none near.
 */
export function chooseModels(
  names: readonly string[],
  sizes: readonly string[],
  installed: readonly Installed[],
): string[] {
  const known = () =>
    installed.map(({ name, parameterSize = 'size unknown' }) => `${name} (${parameterSize})`)
  const bySize = sizes.map((size) => {
    const wanted = parametersOf(size)
    if (wanted === undefined) throw new Error(`--model-sizes: "${size}" is no size such as 8B or 500M`)
    const near = installed
      .map(({ name, parameterSize = '' }) => ({ name, parameters: parametersOf(parameterSize) ?? 0 }))
      .filter(({ parameters }) => Math.abs(parameters / wanted - 1) <= nearEnough)
      .toSorted((a, b) => Math.abs(a.parameters - wanted) - Math.abs(b.parameters - wanted))
    if (!near[0]) {
      throw new Error(
        `--model-sizes: no model of about ${size} is installed; there are ${known().join(', ') || 'none'}`,
      )
    }
    return near[0].name
  })
  const models = [...new Set([...names, ...bySize])]
  if (models.length === 0) {
    throw new Error(
      `name a model to measure, or sizes with --model-sizes; there are ${known().join(', ') || 'none'}`,
    )
  }
  return models
}

const factors: Readonly<Record<string, number>> = { K: 1e3, M: 1e6, B: 1e9, T: 1e12 }

/** `8B`, `494.03M`. */
function parametersOf(size: string): number | undefined {
  const [, digits, unit = ''] = /^\s*([\d.]+)\s*([KMBT])$/i.exec(size) ?? []
  const value = Number(digits) * (factors[unit.toUpperCase()] ?? Number.NaN)
  return value > 0 ? value : undefined
}
