import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDrover, type TestDrover } from '../support/drover.ts'
import { bothEngines, engineEnv } from '../support/engines.ts'
import { makeModels, removeModels } from './models.ts'
import { rows } from './rows/index.ts'
import { connectTo, type Server } from './server.ts'

describe.each(bothEngines)('Drover on the %s engine answers as the reference says', (engine) => {
  let drover: TestDrover
  let server: Server
  beforeAll(async () => {
    drover = await startDrover({
      demo: false,
      env: { ...(await engineEnv(engine)), OLLAMA_CONTEXT_LENGTH: '2048' },
    })
    server = connectTo(drover.url)
    await makeModels(server)
  })
  afterAll(async () => {
    await removeModels(server)
    expect(await drover.stop()).toBe(0)
  })

  it('on rows that have names of their own', () => {
    expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
    expect(rows.length).toBeGreaterThan(200)
  })

  it.each(rows)('$id', ({ check }) => check(server))
})
