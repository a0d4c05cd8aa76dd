import type { Predictor } from './contract.ts'
import { createOutputLengths, lengthLimits } from './output-length.ts'
import { createRatesBook, ratesLimits } from './rates.ts'
import { createRecord, recordLimits } from './record.ts'

/** How much is remembered, in entries; the defaults come to less than 20 MB when all of it is full. */
export interface PredictorOptions {
  rates?: typeof ratesLimits
  lengths?: typeof lengthLimits
  record?: typeof recordLimits
}

/** Learns rates and lengths of answers, and keeps how far off it was. No I/O, no clock; nothing throws on odd numbers. */
export function createPredictor(options: PredictorOptions = {}): Predictor {
  const book = createRatesBook(options.rates ?? ratesLimits)
  const lengths = createOutputLengths(options.lengths ?? lengthLimits)
  const record = createRecord(options.record ?? recordLimits)
  return {
    ...book,
    ...record,
    outputTokens: lengths.outputTokens,
    remainingTokens: lengths.remainingTokens,
    observe(observed) {
      book.observe(observed)
      lengths.observe(observed.shape, observed.outputTokens)
    },
  }
}
