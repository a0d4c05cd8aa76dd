import { existsSync, readFileSync } from 'node:fs'
import type { Configuration, ConfigurationReport } from '../api/index.ts'
import {
  type Change,
  type Config,
  ConfigError,
  changesBetween,
  configOf,
  describeSettings,
  editedFile,
  type LoadedConfig,
  replaceFile,
  withChanges,
} from '../config/index.ts'
import type { Clock } from '../core/index.ts'
import { DroverError } from '../inference/index.ts'
import type { Logger } from '../observability/index.ts'
import { watchFolders } from './folder-watch.ts'

/** A configuration that follows its file. */
export interface LiveConfig extends Configuration {
  /** As it is now: its live settings change in this very object. */
  readonly config: Config
  /** Reads the file anew: what is live is taken, what needs a restart is named, a wrong file is refused. */
  reload(): void
  /** Reloads whenever the file changes. */
  watch(log: Logger): void
  close(): void
}

/**
 * Works the configuration out anew, from the same flags and variables, with a text in the place of a file's. Throws
 * `ConfigError`.
 */
export type ReadConfig = (instead?: { path: string; text: string }) => LoadedConfig

/** The configuration as it was loaded, ready to follow its file. */
export function createLiveConfig(loaded: LoadedConfig, read: ReadConfig, clock: Clock): LiveConfig {
  const config: Config = { ...loaded.config }
  let log: Pick<Logger, 'info' | 'warn' | 'error'> | undefined
  let running: Pick<LoadedConfig, 'values' | 'origins'> = loaded
  let latest = loaded
  let readAtMs = clock.now()
  let restart: Change[] = []
  let refused: ConfigurationReport['refused']
  let unwatch: (() => void) | undefined

  function reload(): void {
    try {
      take(read())
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error
      const same = error.problems.join('\n') === refused?.problems.join('\n')
      refused = { at: timeOf(clock.now()), problems: error.problems }
      if (!same) log?.error({ problems: error.problems }, 'the configuration is refused: the old one stays')
    }
  }

  function take(next: LoadedConfig): void {
    const changes = changesBetween(running, next)
    const told = new Set(restart.map(({ key, to }) => `${key} ${JSON.stringify(to)}`))
    running = withChanges(running, next, changes)
    Object.assign(config, configOf(running.values))
    latest = next
    readAtMs = clock.now()
    restart = changes.filter(({ live }) => !live)
    for (const { key, from, to } of changes.filter(({ live }) => live)) {
      log?.info({ setting: key, from, to }, 'setting changed')
    }
    for (const { key, from, to } of restart) {
      if (told.has(`${key} ${JSON.stringify(to)}`)) continue
      log?.warn(
        { setting: key, running: from, written: to },
        'setting changed, which takes effect at the next start',
      )
    }
    if (refused) log?.info({}, 'the configuration is right again')
    refused = undefined
  }

  function report(): ConfigurationReport {
    return {
      ...(latest.file !== undefined && { file: latest.file }),
      readAt: timeOf(readAtMs),
      settings: describeSettings(running),
      restart: restart.map(({ key, from, to }) => ({ key, running: from, written: to })),
      ...(refused && { refused }),
    }
  }

  return {
    config,
    reload,
    report,
    change(settings) {
      const path = latest.file ?? latest.places[0]
      const edits = settings.map(({ key, value }) => ({ key, value: value ?? undefined }))
      const fixed = fixedElsewhere(settings, latest)
      if (fixed.length > 0) throw new DroverError('invalid_request', fixed.join('; '))
      const { text, next } = checked(() => {
        const text = editedFile(textOf(path), edits)
        return { text, next: read({ path, text }) }
      })
      replaceFile(path, text)
      take(next)
      return report()
    },
    watch(ownLog) {
      log = ownLog
      unwatch = watchFolders(
        loaded.places,
        reload,
        (folder, reason) => ownLog.warn({ folder, reason }, 'changes of the configuration are not seen here'),
        clock,
      )
    },
    close: () => unwatch?.(),
  }
}

const timeOf = (ms: number) => new Date(ms).toISOString()

function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

/** What cannot be is the fault of whoever asked for it. */
function checked<Result>(work: () => Result): Result {
  try {
    return work()
  } catch (error) {
    throw new DroverError('invalid_request', error instanceof Error ? error.message : String(error))
  }
}

/** Settings that flags and variables have: the file would say it in vain. */
function fixedElsewhere(
  settings: readonly { key: string }[],
  { origins, file }: Pick<LoadedConfig, 'origins' | 'file'>,
): string[] {
  const described = describeSettings({ origins })
  return settings.flatMap(({ key }) => {
    const found = described.find((one) => one.key === key)
    const elsewhere =
      found && found.from !== 'default' && !(file !== undefined && found.from.startsWith(`${file}: `))
    return elsewhere
      ? [`${key} is set by ${found.from}, which counts before the file: take it away there`]
      : []
  })
}
