import { DroverError } from '../inference/index.ts'
import type { InstanceExit } from './contract.ts'

/** What a request fails with whose instance has ended under it, in Ollama's words with the reason behind them. */
export function crashed({ reason }: Pick<InstanceExit, 'reason'>): DroverError {
  return new DroverError(
    'engine_crashed',
    'model runner has unexpectedly stopped, this may be due to resource limitations or an internal error ' +
      `(${reason})`,
  )
}
