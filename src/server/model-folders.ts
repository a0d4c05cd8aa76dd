import { asDroverError } from '../inference/index.ts'
import { isSameModel, readSafetensors, type SafetensorsModel } from '../models/index.ts'
import type { Logger } from '../observability/index.ts'

/** A model in the form that vLLM, SGLang or ExLlama runs: other weights than the store's GGUF, and other bytes. */
export type OwnForm = SafetensorsModel

/** The form that a model of this name has in a folder of the configuration; undefined where none is known. */
export type OwnForms = (modelName: string) => OwnForm | undefined

/** Reads what lies in the folders. A name on Hugging Face is no folder, and what is behind it is not known. */
export async function readModelFolders(folders: ReadonlyMap<string, string>, log: Logger): Promise<OwnForms> {
  const forms = await Promise.all(
    [...folders].map(async ([model, folder]) => {
      try {
        return [{ model, form: await readSafetensors(folder) }]
      } catch (error) {
        log.debug({ model, folder, reason: asDroverError(error).message }, 'model folder is not read')
        return []
      }
    }),
  )
  return (modelName) => forms.flat().find(({ model }) => isSameModel(model, modelName))?.form
}
