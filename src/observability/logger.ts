import pino from 'pino'
import { prettyLine } from './pretty.ts'
import { redact } from './redact.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** What the rooms log through. Facts come first, as data; the message is a constant text. */
export interface Logger {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
  /** A logger that adds these facts to every line. */
  child(facts: object): Logger
}

/** Where lines go; each text ends with a line break. */
export interface LogDestination {
  write(text: string): void
}

export interface LoggerOptions {
  /** A function is asked at each line: so the level can change. */
  level: LogLevel | (() => LogLevel)
  /** One readable line an event in place of JSON. */
  pretty: boolean
  destination: LogDestination
}

/**
 * A logger on pino. Lines are written at once, so that none is lost when the process dies. Texts of prompts and
 * answers, and secrets, are taken out of the facts, whoever logs them.
 */
export function createLogger({ level, pretty, destination }: LoggerOptions): Logger {
  const levelNow = typeof level === 'function' ? level : () => level
  const options = {
    level: 'trace',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const target = pretty ? { write: (line: string) => destination.write(prettyLine(line)) } : destination
  return wrap(pino(options, target), levelNow)
}

const weights: Readonly<Record<LogLevel, number>> = { trace: 0, debug: 1, info: 2, warn: 3, error: 4 }

function wrap(inner: pino.Logger, levelNow: () => LogLevel): Logger {
  const at = (level: 'debug' | 'info' | 'warn' | 'error') => (facts: object, message: string) => {
    if (weights[level] >= weights[levelNow()]) inner[level](redact(facts), message)
  }
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (facts) => wrap(inner.child(redact(facts)), levelNow),
  }
}
