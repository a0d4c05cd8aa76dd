export {
  createLogger,
  type LogDestination,
  type Logger,
  type LoggerOptions,
  type LogLevel,
} from './logger.ts'
export { stderrDestination } from './stderr.ts'
