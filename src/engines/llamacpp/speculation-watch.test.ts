import { describe, expect, it } from 'vitest'
import { createSlotQueue } from '../slots.ts'
import { createSpeculationWatch, draftMsPerToken } from './speculation-watch.ts'

/** As the server prints it. */
const statistics =
  'spec common_specu: statistics     draft-simple: #calls(b,g,a) =    1      4      4, #gen drafts =      4, ' +
  '#acc drafts =     4, #gen tokens =     32, #acc tokens =    28, #mean acc len = 8.00, ' +
  '#acc rate/pos = (1.000, 0.750), dur(b,g,a) = 0.049, 16.000, 0.001 ms'

it('what a guess costs is read from the last statistics', () => {
  expect(draftMsPerToken('')).toBe(0)
  expect(draftMsPerToken(statistics)).toBe(0.5)
  expect(draftMsPerToken(`${statistics}\n${statistics.replace('16.000', '64.000')}`)).toBe(2)
  expect(draftMsPerToken(statistics.replace('=     32', '=     0'))).toBe(0)
})

describe('a watch over guesses', () => {
  const usage = { promptTokens: 9, cachedTokens: 0, promptMs: 1 }
  /** A server whose plain steps take `stepMs`, and one answer of 201 tokens in `answerMs` after the other. */
  async function watchAfter(answers: number, stepMs: number, answerMs: number, together = false) {
    const asked: unknown[] = []
    const told: string[] = []
    const queue = createSlotQueue(2)
    const watch = createSpeculationWatch({
      client: {
        json: async (_method, _path, body) => {
          asked.push(body)
          return { timings: { predicted_n: 2, predicted_ms: stepMs } }
        },
      },
      queue,
      modelName: 'm',
      log: () => statistics,
      onLoses: (reason) => told.push(reason),
    })
    for (let answer = 0; answer < answers; answer++) {
      const run = watch.begun()
      const other = together ? watch.begun() : undefined
      run.sent({ prompt: 'hello', id_slot: 1 })
      run.tokens([5, 6])
      run.answered({
        ...usage,
        outputTokens: 201,
        outputMs: answerMs,
        draftTokens: 200,
        draftAcceptedTokens: 100,
      })
      other?.ended()
      run.ended()
      await new Promise((resolve) => setImmediate(resolve))
    }
    return { asked, told, watch, queue }
  }

  it('asks for single steps behind an answer, now and then', async () => {
    const { asked, queue } = await watchAfter(10, 10, 1000)
    expect(asked).toHaveLength(12)
    expect(asked[0]).toMatchObject({ prompt: ['hello', 5, 6], id_slot: 1, n_predict: 2, ignore_eos: true })
    expect(queue.load()).toEqual({ running: 0, waiting: 0 })
  })

  it('takes the part of the draft model off a step', async () => {
    const { watch } = await watchAfter(2, 10, 1000)
    expect(watch.figures()).toMatchObject({ plainTokensPerS: 1000 / 9.5, decodeTokensPerS: 200 })
  })

  it('believes that guesses lose when it was found twice, and says so once', async () => {
    expect((await watchAfter(8, 10, 4000)).told).toEqual([])
    const { told, watch } = await watchAfter(40, 10, 4000)
    expect(told).toEqual([
      'guessing ahead loses: m says 50.0 tokens/s with its draft model, 105.3 without (900 of 1800 guesses were taken)',
    ])
    expect(await watch.loses).toBe(told[0])
    expect((await watchAfter(40, 10, 1000)).told).toEqual([])
  })

  it('judges by answers that ran alone only', async () => {
    const { asked, watch } = await watchAfter(10, 10, 1000, true)
    expect(asked).toEqual([])
    expect(watch.figures()).toEqual({ draftTokens: 2000, acceptedTokens: 1000, verdict: 'unknown' })
  })
})
