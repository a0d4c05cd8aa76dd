import type { ModelName, ModelStore } from '../contract.ts'
import { displayShortest } from '../names.ts'
import type { TransferContext } from './settings.ts'

/** A name in the case in which the store has it already, since names are the same in any case. */
export async function storedName(
  store: Pick<ModelStore, 'find'>,
  log: TransferContext['log'],
  name: ModelName,
): Promise<ModelName> {
  try {
    return (await store.find(displayShortest(name)))?.name ?? name
  } catch (error) {
    // Pulling may mend a model that cannot be read, and pushing needs no more of it than its bytes.
    log.warn({ model: displayShortest(name), reason: String(error) }, 'model to transfer cannot be read')
    return name
  }
}
