import { defineConfig } from 'vitest/config'

/** Rooms that only compute: there a line that no test runs has no excuse. */
const pureRooms = [
  'prompts',
  'placement',
  'inference',
  'config',
  ...['policy', 'prefix', 'prediction', 'admission', 'health', 'dispatch', 'hedging', 'lifecycle'].map(
    (room) => `routing/${room}`,
  ),
]

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'tools/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
    coverage: {
      provider: 'v8',
      include: pureRooms.map((room) => `src/${room}/**/*.ts`),
      exclude: ['**/*.test.ts', '**/contract.ts', '**/testing.ts'],
      reporter: ['text-summary'],
      thresholds: Object.fromEntries(pureRooms.map((room) => [`src/${room}/**`, { lines: 95 }])),
    },
  },
})
