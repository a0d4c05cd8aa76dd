import { names, rowOf } from './layer.ts'
import { camelCase } from './sections.ts'

/** What an INI file of another balancer says, in Drover's words. */
export interface ImportedIni {
  /** In the order of the file; of settings that several lines say the last. */
  settings: { key: string; value: unknown }[]
  /** Lines that have no counterpart, with why or what to do. */
  left: { line: number; name: string; value: string; why: string }[]
}

interface Line {
  line: number
  section: string
  key: string
  value: string
}

/** From the value as it is written to settings. Undefined where the value means nothing here. */
type Rule = (value: string) => [key: string, value: unknown][] | undefined

const as =
  (key: string): Rule =>
  (value) => [[key, value]]
const seconds =
  (key: string): Rule =>
  (value) =>
    /^\d+(\.\d+)?$/.test(value) ? [[key, `${value}s`]] : [[key, value]]
const flag =
  (key: string): Rule =>
  (value) => {
    const yes = /^(1|true|yes|on|enabled)$/i.test(value)
    return yes || /^(0|false|no|off|disabled)$/i.test(value) ? [[key, yes]] : undefined
  }

/** How balancers call their ways of choosing. */
const policies: Readonly<Record<string, string>> = {
  round_robin: 'round_robin',
  roundrobin: 'round_robin',
  rr: 'round_robin',
  weighted: 'weighted_round_robin',
  weighted_round_robin: 'weighted_round_robin',
  wrr: 'weighted_round_robin',
  least_conn: 'least_loaded',
  leastconn: 'least_loaded',
  least_connections: 'least_loaded',
  least_loaded: 'least_loaded',
  least_busy: 'least_effective_load',
  least_response_time: 'latency_target',
  latency: 'latency_target',
  random: 'power_of_two',
  p2c: 'power_of_two',
  power_of_two: 'power_of_two',
  sticky: 'locality',
  ip_hash: 'locality',
  hash: 'locality',
  session: 'locality',
  prefix: 'prefix',
  performance: 'performance_aware',
  performance_aware: 'performance_aware',
  power: 'power_aware',
  power_aware: 'power_aware',
}

const policy: Rule = (value) => {
  const name = own(policies, value.toLowerCase().replace(/[\s-]+/g, '_'))
  return name === undefined ? undefined : [['policy', name]]
}

const logLevels: Readonly<Record<string, string>> = {
  trace: 'trace',
  debug: 'debug',
  info: 'info',
  notice: 'info',
  warn: 'warn',
  warning: 'warn',
  error: 'error',
  critical: 'error',
}
const logLevel: Rule = (value) => {
  const level = own(logLevels, value.toLowerCase())
  return level === undefined ? undefined : [['logLevel', level]]
}

/** Names of keys, whatever section they stand in; where a section decides, with it: `health.interval`. */
const rules: Readonly<Record<string, Rule>> = {
  policy,
  strategy: policy,
  algorithm: policy,
  method: policy,
  balance: policy,
  load_balancing: policy,
  lb_method: policy,
  'server.host': as('host'),
  'server.listen': as('host'),
  bind: as('host'),
  listen: as('host'),
  max_queue: as('maxQueue'),
  max_queue_size: as('maxQueue'),
  queue_limit: as('maxQueue'),
  'queue.size': as('maxQueue'),
  'queue.max_size': as('maxQueue'),
  health_check_interval: seconds('healthInterval'),
  health_interval: seconds('healthInterval'),
  'health.interval': seconds('healthInterval'),
  health_check_timeout: seconds('healthTimeout'),
  health_timeout: seconds('healthTimeout'),
  'health.timeout': seconds('healthTimeout'),
  fall: as('unhealthyAfter'),
  unhealthy_threshold: as('unhealthyAfter'),
  'health.max_failures': as('unhealthyAfter'),
  rise: as('healthyAfter'),
  healthy_threshold: as('healthyAfter'),
  max_fails: as('breakerFailures'),
  failure_threshold: as('breakerFailures'),
  'circuit_breaker.threshold': as('breakerFailures'),
  fail_timeout: seconds('breakerOpen'),
  recovery_timeout: seconds('breakerOpen'),
  'circuit_breaker.timeout': seconds('breakerOpen'),
  request_timeout: seconds('silenceTimeout'),
  proxy_read_timeout: seconds('silenceTimeout'),
  drain_timeout: seconds('drainTimeout'),
  shutdown_timeout: seconds('drainTimeout'),
  keep_alive: as('keepAlive'),
  load_timeout: seconds('loadTimeout'),
  max_loaded_models: as('maxLoadedModels'),
  num_parallel: as('numParallel'),
  max_parallel: as('numParallel'),
  context_length: as('contextLength'),
  num_ctx: as('contextLength'),
  memory_limit: as('memoryLimit'),
  max_memory: as('memoryLimit'),
  gpu_memory_reserve: as('gpuOverhead'),
  gpu_overhead: as('gpuOverhead'),
  max_body_size: as('maxBodySize'),
  client_max_body_size: as('maxBodySize'),
  hedging: flag('hedge'),
  hedge: flag('hedge'),
  log_level: logLevel,
  loglevel: logLevel,
  'logging.level': logLevel,
  'log.level': logLevel,
  'cache.enabled': (value) =>
    /^(0|false|no|off)$/i.test(value) ? [['responseCacheSize', '0']] : [['responseCacheSize', '64MiB']],
  'cache.size': as('responseCacheSize'),
  'cache.ttl': seconds('responseCacheTtl'),
  gpu_strategy: as('multi_gpu.strategy'),
  tensor_parallel_size: as('multi_gpu.tensor_parallel.size'),
  pipeline_parallel_size: as('multi_gpu.pipeline_parallel.size'),
  replicas: as('multi_gpu.data_parallel.replicas'),
  auto_migration: flag('multi_gpu.scheduling.migration.enabled'),
  migration_threshold: as('multi_gpu.scheduling.migration.threshold'),
  migration_cooldown: seconds('multi_gpu.scheduling.migration.cooldown'),
}

/** Why well-known lines have no counterpart. */
const reasons: Readonly<Record<string, string>> = {
  weight: 'of a device: write it under gpuInstances',
  queue_size: 'requests are queued once for all servers: set maxQueue',
  max_conns: 'of a device: write max_concurrent_requests under gpuInstances',
  workers: 'Drover serves all requests in one process',
  ssl_certificate: 'put a proxy that speaks TLS before Drover',
  api_key: 'put a proxy that checks who asks before Drover',
}

/**
 * Reads an INI of load-balancing settings. Sections and keys are taken in any spelling (`Max-Queue`, `max_queue`); a
 * section with a `url` is a server, which becomes one of `ollamaUrls`. What has no counterpart is listed, and so is a
 * line that a later one takes back.
 */
export function importIni(text: string): ImportedIni {
  const { lines, left } = linesOf(text)
  const found = new Map<string, { value: unknown; by: Line }>()
  const urls: string[] = []
  for (const by of lines) {
    if (isUrl(by)) {
      urls.push(by.value.replace(/\/+$/, ''))
      continue
    }
    const rule = ruleOf(by)
    const settings = rule?.(by.value)
    if (!settings) left.push(leftOver(by, whyLeft(by.key, rule !== undefined)))
    for (const [key, value] of settings ?? []) {
      const before = found.get(key)?.by
      if (before) left.push(leftOver(before, `line ${by.line} says the same again, and counts`))
      found.set(key, { value: typed(key, value), by })
    }
  }
  const settings = [...found].map(([key, { value }]) => ({ key, value }))
  const servers =
    urls.length > 0
      ? [
          { key: 'engine', value: 'ollama' },
          { key: 'ollamaUrls', value: urls },
        ]
      : []
  return { settings: [...settings, ...servers], left: left.toSorted((a, b) => a.line - b.line) }
}

/** A number as YAML writes it, where the setting takes one; a host may be all digits, too. */
function typed(key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !/^-?\d+(\.\d+)?$/.test(value)) return value
  const name = names.find((one) => rowOf(one).key === key)
  const number = Number(value)
  return name && rowOf(name).schema.safeParse(number).success ? number : value
}

function isUrl({ key, value }: Line): boolean {
  return /^(url|address|endpoint|backend)$/.test(key) && /^https?:\/\//.test(value)
}

/** By section and key, else by the key alone. `[health check]` and `[health]` are one section. */
function ruleOf({ section, key }: Line): Rule | undefined {
  const short = section.replace(/_?(check|settings?)$/, '')
  return own(rules, `${section}.${key}`) ?? own(rules, `${short}.${key}`) ?? own(rules, key)
}

/** What a file calls `constructor` is no property of every object. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

function leftOver({ line, section, key, value }: Line, why: string): ImportedIni['left'][number] {
  return { line, name: section === '' ? key : `${section}.${key}`, value, why }
}

function whyLeft(key: string, known: boolean): string {
  if (known) return 'this value has no counterpart'
  return own(reasons, key) ?? 'Drover has no such setting'
}

function linesOf(text: string): { lines: Line[]; left: ImportedIni['left'] } {
  const lines: Line[] = []
  const left: ImportedIni['left'] = []
  let section = ''
  for (const [at, raw] of text.split(/\r?\n/).entries()) {
    const written = raw.trim()
    if (written === '' || /^[;#]/.test(written)) continue
    const head = /^\[(.*)\]$/.exec(written)?.[1]
    if (head !== undefined) {
      section = normal(head)
      continue
    }
    const [, key, value = ''] = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(written) ?? []
    if (key === undefined)
      left.push({ line: at + 1, name: written, value: '', why: 'it is no "key = value"' })
    else lines.push({ line: at + 1, section, key: normal(key), value: bare(value) })
  }
  return { lines, left }
}

function normal(name: string): string {
  return camelCase(name.trim())
    .replace(/([a-z])([A-Z])/g, '$1_$2')
    .replace(/[\s-]+/g, '_')
    .toLowerCase()
}

/** A value without quotes and without the comment behind it. */
function bare(value: string): string {
  const quoted = /^(["'])(.*?)\1/.exec(value)
  return quoted?.[2] ?? value.replace(/\s+[;#].*$/, '').trim()
}
