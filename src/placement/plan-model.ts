import type { ModelFile } from '../models/index.ts'
import type { PlanModel } from './contract.ts'

export interface ModelParts {
  name: string
  file: Pick<ModelFile, 'shape' | 'fileType' | 'pooling'>
  /** The model embeds and does not generate; absent: as the file says. */
  embedding?: boolean | undefined
  projector?: Pick<ModelFile, 'shape'> | undefined
  draft?: { name: string; file: Pick<ModelFile, 'shape'> } | undefined
}

/** A model of GGUF files as plans know it. */
export function planModelOf({
  name,
  file,
  embedding = file.pooling,
  projector,
  draft,
}: ModelParts): PlanModel {
  return {
    name,
    shape: file.shape,
    format: 'gguf',
    fileType: file.fileType,
    ...(embedding && { embedding }),
    ...(projector && { projectorBytes: projector.shape.weightBytes }),
    ...(draft && { draft: { name: draft.name, shape: draft.file.shape } }),
  }
}
