import { z } from 'zod'
import { Refusal } from './refusal.ts'

/** Before the first byte of an answer. */
const early = [
  'error_503',
  'error_500',
  'error_429',
  'error_404',
  'refuse',
  'hang_before_headers',
  'late_headers',
] as const
/** After so many tokens of it. */
const within = ['hang_after_tokens', 'cut_after_tokens', 'corrupt_chunk', 'oom', 'crash'] as const
/** Of the whole engine, whoever asks. */
const ofEngine = ['slow', 'fail_health', 'drop_health'] as const
/** In everything that the answer says. */
const ofAnswer = ['wrong_model'] as const

export const faultNames = [...early, ...within, ...ofAnswer, ...ofEngine] as const
export type FaultName = (typeof faultNames)[number]
export type EarlyFault = (typeof early)[number]
export type FaultWithin = (typeof within)[number]

const includes = (names: readonly string[], name: string) => names.includes(name)

/** One fault as it is switched on. */
const faultSchema = z
  .strictObject({
    fault: z.enum(faultNames),
    /** Tokens that an answer has before it happens; with 0 nothing of the answer is seen. */
    after: z.int().min(0).optional(),
    /** The share of requests that it hits, spread evenly: 0.25 is each fourth. */
    share: z.number().gt(0).max(1).optional(),
    /** Requests that it hits before it switches itself off. */
    count: z.int().min(1).optional(),
    /** Seconds until it switches itself off. */
    seconds: z.number().gt(0).optional(),
    /** How many times slower `slow` is. */
    factor: z.number().min(1).optional(),
    /** Milliseconds that `late_headers` keeps a client waiting. */
    delayMs: z.number().gt(0).optional(),
    /** What `error_429` and `error_503` say in `Retry-After`. */
    retryAfterSeconds: z.int().min(0).optional(),
    /** Whose name `wrong_model` answers under. */
    model: z.string().min(1).optional(),
  })
  .superRefine((given, context) => {
    for (const [key, faults] of Object.entries(takenBy)) {
      if (given[key as keyof typeof takenBy] === undefined || includes(faults, given.fault)) continue
      const message = `"${key}" means nothing for ${given.fault}; it goes with ${faults.join(', ')}`
      context.addIssue({ code: 'custom', path: [key], message })
    }
  })

/** Which faults a detail goes with, where it does not go with all. */
const takenBy = {
  after: within,
  share: [...early, ...within, ...ofAnswer],
  count: [...early, ...within, ...ofAnswer],
  factor: ['slow'],
  delayMs: ['late_headers'],
  retryAfterSeconds: ['error_429', 'error_503'],
  model: ['wrong_model'],
} as const

export type MockFault = z.infer<typeof faultSchema>

/** A fault that is on. */
export type ActiveFault = MockFault & {
  /** Requests that it has hit. */
  hits: number
  /** Seconds until it switches itself off. */
  remainingSeconds?: number
}

/** What hits one request. */
export interface RequestFaults {
  early?: MockFault & { fault: EarlyFault }
  within?: MockFault & { fault: FaultWithin; after: number }
  wrongModel?: string
}

/** Faults that can be switched on and off while the engine runs. */
export interface MockFaults {
  /** Switches one on, in place of an earlier one of the same name. Throws `Refusal` where it makes no sense. */
  set(fault: unknown): ActiveFault
  list(): ActiveFault[]
  /** One, or all; whether there was any. */
  clear(name?: FaultName): boolean
  /** What a request that comes now is hit by: at most one fault before its headers and one within its answer. */
  hit(): RequestFaults
  /** How many times slower than usual the engine is. */
  slowFactor(): number
  health(): 'ok' | 'fail' | 'drop'
}

const defaultAfterTokens = 8

interface Entry {
  fault: MockFault
  hits: number
  /** How much of a hit has come together. */
  due: number
  endsMs: number
}

/** `nowMs` is any clock that never steps back; `onChange` is called when the factor of `slow` may have changed. */
export function createFaults(nowMs: () => number, onChange: () => void = () => undefined): MockFaults {
  const entries = new Map<FaultName, Entry>()

  function live(name: FaultName): Entry | undefined {
    const entry = entries.get(name)
    if (!entry) return undefined
    const { count = Number.POSITIVE_INFINITY } = entry.fault
    if (entry.endsMs > nowMs() && entry.hits < count) return entry
    entries.delete(name)
    return undefined
  }

  function take(name: FaultName): MockFault | undefined {
    const entry = live(name)
    if (!entry) return undefined
    entry.due += entry.fault.share ?? 1
    // A tenth added ten times is a little less than one.
    if (entry.due < 1 - 1e-9) return undefined
    entry.due -= 1
    entry.hits++
    return entry.fault
  }

  function takeFirst<Name extends FaultName>(
    names: readonly Name[],
  ): (MockFault & { fault: Name }) | undefined {
    for (const name of names) {
      const fault = take(name)
      if (fault) return { ...fault, fault: name }
    }
    return undefined
  }

  const shown = ({ fault, hits, endsMs }: Entry): ActiveFault => ({
    ...fault,
    hits,
    ...(Number.isFinite(endsMs) && { remainingSeconds: Math.round(endsMs - nowMs()) / 1000 }),
  })

  return {
    set(given) {
      const parsed = faultSchema.safeParse(given)
      if (!parsed.success) throw new Refusal(400, explained(parsed.error))
      const { seconds = Number.POSITIVE_INFINITY } = parsed.data
      const entry = { fault: parsed.data, hits: 0, due: 0, endsMs: nowMs() + seconds * 1000 }
      entries.set(parsed.data.fault, entry)
      onChange()
      return shown(entry)
    },
    list: () => [...entries.keys()].flatMap((name) => live(name) ?? []).map(shown),
    clear(name) {
      const names = name === undefined ? [...entries.keys()] : [name]
      const cleared = names.map((one) => entries.delete(one)).includes(true)
      onChange()
      return cleared
    },
    hit() {
      const first = takeFirst(early)
      // What never gets an answer is not hit within it as well.
      if (first && first.fault !== 'late_headers') return { early: first }
      const inside = takeFirst(within)
      const wrong = take('wrong_model')
      return {
        ...(first && { early: first }),
        ...(inside && { within: { ...inside, after: inside.after ?? defaultAfterTokens } }),
        ...(wrong && { wrongModel: wrong.model ?? 'another-model' }),
      }
    },
    slowFactor: () => live('slow')?.fault.factor ?? (live('slow') ? 10 : 1),
    health: () => (live('drop_health') ? 'drop' : live('fail_health') ? 'fail' : 'ok'),
  }
}

function explained(error: z.ZodError): string {
  const [issue] = error.issues
  const where = issue?.path.length ? `${issue.path.join('.')}: ` : ''
  return `no such fault: ${where}${issue?.message ?? 'it is not understood'}`
}
