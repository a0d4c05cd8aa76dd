import { createLogger } from '../../src/observability/index.ts'

/** A log for parts that tests use directly: only errors, to where the tests' own output goes. */
export const quietLog = createLogger({ level: 'error', pretty: true, destination: process.stderr })
