import { z } from 'zod'
import { count, duration, durationForms, flag, list, setting, size, text } from './setting.ts'

/** As `routing` names them. */
const policyNames = [
  'predicted_finish',
  'round_robin',
  'weighted_round_robin',
  'least_loaded',
  'least_effective_load',
  'power_of_two',
  'locality',
  'prefix',
  'kv_cost',
  'latency_target',
  'power_aware',
  'performance_aware',
] as const

const sizeOrZero = z.union([z.literal(0), z.literal('0').transform(() => 0), size])
const percent = z.coerce.number().min(0).max(100)
const weights = z.union([
  z.record(z.string(), z.coerce.number().positive()),
  z
    .string()
    .transform((written) => Object.fromEntries(written.split(',').map((pair) => pair.split('=', 2))))
    .pipe(z.record(z.string(), z.coerce.number().positive())),
])
const byModel = z.record(z.string(), z.union([text.transform((one) => [one]), z.array(text)]))

/** Which request is served when, where and in place of what. */
export const routingSettings = {
  policy: setting(z.enum(policyNames), {
    key: 'policy',
    live: true,
    allowed: policyNames.join(', ').replace(/, (?=[^,]*$)/, ' or '),
    default: 'predicted_finish',
    about: 'How an instance is chosen for a request that names no policy itself; see docs/routing.md.',
  }),
  prefixIndexBytes: setting(size, {
    key: 'prefixIndexSize',
    allowed: 'a size such as 64MiB or a number of bytes',
    default: '64MiB',
    about: "Memory for what is known of the instances' caches.",
  }),
  tenantWeights: setting(weights.optional(), {
    key: 'tenantWeights',
    allowed: 'by tenant a number, such as team-a: 2; in a variable team-a=2,team-b=1',
    about: 'The share of each tenant when requests have to wait. 1 for those not named.',
  }),
  maxQueueBulk: setting(count.pipe(z.number().min(1)).optional(), {
    key: 'maxQueueBulk',
    live: true,
    allowed: 'a whole number from 1',
    about: 'How many requests of priority `bulk` may wait for one model. As many as `maxQueue` if absent.',
  }),
  healthIntervalMs: setting(duration.pipe(z.number().positive()), {
    key: 'healthInterval',
    allowed: durationForms,
    default: '30s',
    about: 'How often an instance is asked whether it works.',
  }),
  healthTimeoutMs: setting(duration.pipe(z.number().positive()), {
    key: 'healthTimeout',
    allowed: durationForms,
    default: '5s',
    about: 'How long it may take to answer that.',
  }),
  unhealthyAfter: setting(count.pipe(z.number().min(1)), {
    key: 'unhealthyAfter',
    allowed: 'a whole number from 1',
    default: '3',
    about: 'Bad answers in a row that make an instance unhealthy: it gets no requests.',
  }),
  healthyAfter: setting(count.pipe(z.number().min(1)), {
    key: 'healthyAfter',
    allowed: 'a whole number from 1',
    default: '2',
    about: 'Good ones in a row that make it healthy again.',
  }),
  breakerFailures: setting(count.pipe(z.number().min(1)), {
    key: 'breakerFailures',
    allowed: 'a whole number from 1',
    default: '5',
    about: 'Requests that fail on an instance before its circuit breaker opens.',
  }),
  breakerOpenMs: setting(duration.pipe(z.number().positive()), {
    key: 'breakerOpen',
    allowed: durationForms,
    default: '60s',
    about: 'How long an open breaker keeps requests away before one of them tries again.',
  }),
  silenceTimeoutMs: setting(
    duration.transform((ms) => (ms <= 0 ? Number.POSITIVE_INFINITY : ms)),
    {
      key: 'silenceTimeout',
      live: true,
      allowed: `${durationForms}; 0 or less waits for ever`,
      default: '5m',
      about: 'How long an answer may bring no token and no progress before it goes on on another instance.',
    },
  ),
  handOverAfterMs: setting(duration.pipe(z.number().min(0)), {
    key: 'handOverAfter',
    live: true,
    allowed: durationForms,
    default: '30s',
    about:
      'How long the answers of an instance that is replaced or drained go on there before they are moved.',
  }),
  sessionCacheBytes: setting(sizeOrZero, {
    key: 'sessionCacheSize',
    allowed: 'a size such as 4GiB; 0 keeps none',
    default: '2GiB',
    about: 'Disk space for the caches of conversations whose instance ends.',
  }),
  maxCacheMemoryPercent: setting(percent, {
    key: 'maxCacheMemoryPercent',
    allowed: 'a number from 0 to 100',
    default: '10',
    about: 'Where that space is a file system in memory: the share of it that the caches may take.',
  }),
  checkpointTokens: setting(count, {
    key: 'checkpointTokens',
    allowed: 'a number of tokens; 0 never',
    default: '0',
    about:
      'Conversations of so many tokens are saved after each answer, so that even a killed instance costs its successor little.',
  }),
  batchWindowMs: setting(z.coerce.number().min(0).max(1000), {
    key: 'batchWindowMs',
    allowed: 'milliseconds from 0 to 1000',
    default: '2',
    about:
      'How long an input to embed waits, where its instance is busy, for others to be embedded together with; 0 not at all.',
  }),
  maxBatchSize: setting(count.pipe(z.number().min(1)), {
    key: 'maxBatchSize',
    allowed: 'a whole number from 1',
    default: '64',
    about: 'The most inputs that are embedded together.',
  }),
  joinRequests: setting(flag, {
    key: 'joinRequests',
    allowed: 'true or false',
    default: 'true',
    about:
      'Whether equal requests whose answer is certain (temperature 0, or a seed) are computed once while they are under way together.',
  }),
  responseCacheBytes: setting(sizeOrZero, {
    key: 'responseCacheSize',
    allowed: 'a size such as 64MiB; 0 keeps none',
    default: '0',
    about: 'Memory for answers that are given again to equal requests whose answer is certain.',
  }),
  responseCacheTtlMs: setting(duration.pipe(z.number().positive()), {
    key: 'responseCacheTtl',
    allowed: durationForms,
    default: '10m',
    about: 'How long an answer is kept for that.',
  }),
  fallbackModels: setting(byModel.optional(), {
    key: 'fallbackModels',
    live: true,
    allowed: 'by model a list of models',
    about:
      'What serves requests for a model that cannot be served: a smaller quantisation, or another model. In the file only.',
  }),
  degrade: setting(
    list
      .transform((steps) => steps.filter((step) => step !== ''))
      .pipe(z.array(z.enum(['model', 'context', 'cpu', 'refuse']))),
    {
      key: 'degrade',
      live: true,
      allowed:
        'a list of model, context, cpu, refuse; empty: nothing is served in place of what was asked for',
      default: '',
      about: 'What may be done, in this order of preference, when a request cannot be served as it is.',
    },
  ),
  hedge: setting(flag, {
    key: 'hedge',
    live: true,
    allowed: 'true or false',
    default: 'false',
    about:
      'Whether an interactive request that gets no first word is tried on a second instance beside the first.',
  }),
  requestLogPath: setting(text.optional(), {
    key: 'requestLog',
    allowed: "a file's path",
    about:
      'Where a line about each answered request goes (sizes and times, no texts), for `drover simulate`.',
    isPath: true,
  }),
}
