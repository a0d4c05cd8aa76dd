import { statfsSync } from 'node:fs'
import { tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import type { Config } from '../config/index.ts'
import { randomHex, systemClock } from '../core/index.ts'
import { startGuardian } from '../engines/index.ts'
import type { Logger } from '../observability/index.ts'
import {
  type AdmissionQueue,
  type ConversationKeeper,
  createAdmissionQueue,
  createConversationKeeper,
  createDispatcher,
  createEmbedBatcher,
  createHealthBook,
  createHedger,
  createJoiner,
  createPredictor,
  createPrefixIndex,
  createResponseCache,
  createRetryBudget,
  createSessionCache,
  createTokenEstimate,
  defaultAdmissionLimits,
  defaultHealthLimits,
  filterCandidates,
  type PoolOptions,
  policies,
  policyNamed,
  type RouterOptions,
  type SessionCache,
  usualBlockTokens,
} from '../routing/index.ts'
import { createRequestLog } from './request-log.ts'

/** What is known of a cache and was not used for so long is worth nothing. */
const prefixMaxAgeMs = 60 * 60_000
/** Left free on the disk of saved caches. */
const diskReserveBytes = 2 ** 30

/** Everything that decides where and when requests are served. */
export interface RoutingParts extends Pick<PoolOptions, 'dispatcher' | 'health' | 'healthProbe'> {
  queue: AdmissionQueue
  conversations?: ConversationKeeper
  /** What the router alone needs. */
  router: Pick<
    RouterOptions,
    | 'knowledge'
    | 'cacheStats'
    | 'retries'
    | 'silenceMs'
    | 'hedger'
    | 'degrade'
    | 'repeats'
    | 'embedBatcher'
    | 'answered'
    | 'conversations'
  >
}

/** What can change while the server runs is read from `config` when it is needed. */
export function createRoutingParts(
  config: Config,
  sessionDir: string | undefined,
  log: Logger,
): RoutingParts {
  const predictor = createPredictor()
  const health = createHealthBook({
    ...defaultHealthLimits,
    intervalMs: config.healthIntervalMs,
    timeoutMs: config.healthTimeoutMs,
    unhealthyAfter: config.unhealthyAfter,
    healthyAfter: config.healthyAfter,
    breakerFailures: config.breakerFailures,
    breakerOpenMs: config.breakerOpenMs,
  })
  const prefix = createPrefixIndex({ budgetBytes: config.prefixIndexBytes, maxAgeMs: prefixMaxAgeMs })
  const repeats = repeatsOf(config)
  const dispatcher = createDispatcher({
    policies,
    get defaultPolicy() {
      return policyNamed(config.policy)
    },
    filter: filterCandidates,
    prefix,
    blockTokens: usualBlockTokens,
    predictor,
    health,
    random: Math.random,
  })
  const queue = createAdmissionQueue({
    ...defaultAdmissionLimits,
    get maxWaiting() {
      return config.maxQueue
    },
    get maxWaitingByClass() {
      return classLimits(config)
    },
    ...(config.tenantWeights && { tenantWeights: config.tenantWeights }),
  })
  const warn = (message: string) => log.warn({}, message)
  const conversations =
    sessionDir === undefined
      ? undefined
      : createConversationKeeper(() => openSessions(sessionDir, config, warn), {
          checkpointTokens: config.checkpointTokens,
          warn,
        })
  return {
    dispatcher,
    queue,
    health,
    healthProbe: { intervalMs: config.healthIntervalMs, timeoutMs: config.healthTimeoutMs },
    ...(conversations && { conversations }),
    router: {
      knowledge: { tokens: createTokenEstimate(), predictor, salt: randomHex(16) },
      retries: createRetryBudget(),
      silenceMs: config.silenceTimeoutMs,
      ...(conversations && { conversations }),
      hedger: createHedger({ enabled: true }),
      degrade: {
        get steps() {
          return config.degrade.filter((step) => step !== 'refuse')
        },
        get fallbackModels() {
          return config.fallbackModels ?? {}
        },
      },
      repeats,
      cacheStats: () => {
        const sessions = conversations?.stats()
        const responses = repeats.cache?.stats()
        return { prefixes: prefix.stats(), ...(sessions && { sessions }), ...(responses && { responses }) }
      },
      embedBatcher: createEmbedBatcher({
        windowMs: config.batchWindowMs,
        maxBatchSize: config.maxBatchSize,
        clock: systemClock,
      }),
      ...(config.requestLogPath !== undefined && { answered: createRequestLog(config.requestLogPath, log) }),
    },
  }
}

function openSessions(dir: string, config: Config, warn: (message: string) => void): Promise<SessionCache> {
  // Gigabytes, perhaps, that a killed server would leave behind.
  startGuardian([dirname(dir)])
  const budgetBytes = sessionBudgetBytes(config)
  return createSessionCache({ dir, budgetBytes, reserveBytes: diskReserveBytes, warn })
}

/** `statfs` of a file system in memory (Linux): what lies there takes memory from models. */
const tmpfs = 0x01021994

function sessionBudgetBytes({ sessionCacheBytes, maxCacheMemoryPercent }: Config): number {
  if (statfsSync(tmpdir()).type !== tmpfs) return sessionCacheBytes
  return Math.min(sessionCacheBytes, (totalmem() * maxCacheMemoryPercent) / 100)
}

function repeatsOf(config: Config): RouterOptions['repeats'] {
  const { joinRequests, responseCacheBytes, responseCacheTtlMs } = config
  return {
    ...(joinRequests && { joiner: createJoiner({ maxRunBytes: 2 ** 22, maxTotalBytes: 2 ** 26 }) }),
    ...(responseCacheBytes > 0 && {
      cache: createResponseCache({
        maxBytes: responseCacheBytes,
        ttlMs: responseCacheTtlMs,
        clock: systemClock,
      }),
    }),
  }
}

/**
 * Who is refused first when it gets tight, where that is wished: shares of the whole queue. Infinity where it is not: who
 * waits is counted by class all the same, since that may change meanwhile.
 */
function classLimits({ degrade, maxQueue, maxQueueBulk }: Config): { bulk: number; default: number } {
  const refuses = degrade.includes('refuse')
  return {
    bulk: maxQueueBulk ?? (refuses ? Math.ceil(maxQueue / 4) : Number.POSITIVE_INFINITY),
    default: refuses ? Math.ceil((maxQueue * 3) / 4) : Number.POSITIVE_INFINITY,
  }
}

/** Where the caches of conversations are put aside; undefined where none are kept. */
export function sessionDirOf({ sessionCacheBytes }: Config, runDir: string): string | undefined {
  return sessionCacheBytes > 0 ? join(runDir, 'sessions') : undefined
}
