import { z } from 'zod'
import { createRandom, gammaOf, type Random, weibullOf } from '../random.ts'
import type { Line, TraceReader, TraceRequest } from './contract.ts'
import { parseLine } from './lines.ts'

const lengths = z.object({ q: z.array(z.number().min(0)).min(2) })
const shape = z.object({
  client: z.union([z.string(), z.number()]),
  window_s: z.number().positive(),
  day2_windows: z.array(
    z.tuple([z.number(), z.number().min(0), z.number(), z.string(), z.number(), z.number()]),
  ),
  lengths: z
    .record(z.string(), z.object({ input_tokens: lengths.optional(), output_tokens: lengths.optional() }))
    .nullish(),
})

type Client = z.infer<typeof shape>

/** At which `q` holds the quantiles. */
const levels = [
  0, 0.01, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9,
  0.95, 0.99, 0.999, 1,
]

const defaultRequests = 20_000

/**
 * Clients as ServeGen (Alibaba) describes them: for each, windows of a day with the rate and the distribution of gaps
 * (Gamma or Weibull), and quantiles of its lengths. From the busiest window on, requests are drawn by these until
 * there are enough; every client is a tenant. Prompt and answer lengths are drawn apart: how they go together is not
 * told. No blocks.
 */
export const readServeGen: TraceReader = async (lines, { requests = defaultRequests, seed = 1 }) => {
  const clients: Client[] = []
  for await (const line of lines) clients.push(checked(line))
  const withLengths = clients.filter((client) => periodsOf(client).length > 0)
  const busiest = busiestWindow(withLengths)
  const read: TraceRequest[] = []
  const windows = new Set(withLengths.flatMap(({ day2_windows }) => day2_windows.map(([startS]) => startS)))
  const random = createRandom(seed)
  for (const startS of [...windows].filter((start) => start >= busiest).toSorted((a, b) => a - b)) {
    if (read.length >= requests) break
    const drawn = withLengths.flatMap((client) => drawWindow(client, startS, random))
    for (const request of drawn.sort((a, b) => a.atMs - b.atMs)) read.push(request)
  }
  return { blockTokens: 0, bucketMs: 0, requests: read.slice(0, requests) }
}

function checked(line: Line): Client {
  return parseLine(line, shape)
}

function periodsOf({ lengths: periods }: Client) {
  return Object.entries(periods ?? {})
    .map(([startS, { input_tokens, output_tokens }]) => ({
      startS: Number(startS),
      input: input_tokens?.q,
      output: output_tokens?.q,
    }))
    .filter(({ output }) => output !== undefined)
}

function busiestWindow(clients: readonly Client[]): number {
  const rates = new Map<number, number>()
  for (const { day2_windows } of clients) {
    for (const [startS, rps] of day2_windows) rates.set(startS, (rates.get(startS) ?? 0) + rps)
  }
  return [...rates].reduce((best, next) => (next[1] > best[1] ? next : best), [0, 0])[0]
}

function drawWindow(client: Client, startS: number, random: Random): TraceRequest[] {
  const window = client.day2_windows.find(([start]) => start === startS)
  if (!window) return []
  const [, rps, , distribution, shapeOf, scale] = window
  if (rps <= 0 || shapeOf <= 0 || scale <= 0) return []
  const periods = periodsOf(client)
  const period = periods.findLast((one) => one.startS <= startS) ?? periods[0]
  const drawn: TraceRequest[] = []
  const gap = () =>
    distribution === 'Weibull' ? weibullOf(random, shapeOf, scale) : gammaOf(random, shapeOf, scale)
  // The stored scale follows the fit of the gaps, not the rate: the rate is what has to come out.
  const meanGapS = 1 / rps
  const meanDrawn = distribution === 'Weibull' ? scale * gammaFunction(1 + 1 / shapeOf) : shapeOf * scale
  for (let atS = gap() * (meanGapS / meanDrawn) * random(); atS < client.window_s; ) {
    drawn.push({
      atMs: (startS + atS) * 1000,
      promptTokens: Math.max(1, Math.round(quantile(period?.input ?? [1, 1], random()))),
      outputTokens: Math.max(1, Math.round(quantile(period?.output ?? [1, 1], random()))),
      hashes: [],
      tenant: `client ${client.client}`,
    })
    atS += gap() * (meanGapS / meanDrawn)
  }
  return drawn
}

/** Between two known quantiles the value is taken to grow evenly. */
function quantile(values: readonly number[], at: number): number {
  const above = Math.max(
    1,
    levels.findIndex((level) => level >= at),
  )
  const [low = 0, high = 1] = [levels[above - 1], levels[above]]
  const [least = 0, most = 0] = [values[above - 1] ?? values[0], values[above] ?? values.at(-1)]
  return least + ((at - low) / (high - low)) * (most - least)
}

/** Lanczos' approximation, for arguments above 0.5. */
function gammaFunction(x: number): number {
  const coefficients = [
    676.5203681218851, -1259.1392167224028, 771.3234287776531, -176.6150291621406, 12.507343278686905,
    -0.13857109526572012, 9.984369578019572e-6, 1.5056327351493116e-7,
  ]
  const t = x + 6.5
  const sum = coefficients.reduce((total, value, index) => total + value / (x + index), 0.9999999999998099)
  return Math.sqrt(2 * Math.PI) * t ** (x - 0.5) * Math.exp(-t) * sum
}
