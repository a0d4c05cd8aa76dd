import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startDrover, type TestDrover } from '../support/drover.ts'
import { makeModels, removeModels } from './models.ts'
import { rows } from './rows/index.ts'
import { connectTo, type Server } from './server.ts'

describe('Drover answers as the reference says', () => {
  let drover: TestDrover
  let server: Server
  beforeAll(async () => {
    drover = await startDrover({
      demo: false,
      env: { DROVER_ENGINE: 'embedded', OLLAMA_CONTEXT_LENGTH: '2048' },
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
