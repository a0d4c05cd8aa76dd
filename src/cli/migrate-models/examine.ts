import { DroverError } from '../../inference/index.ts'
import {
  type CheckedModel,
  checkStore,
  type ModelDescription,
  type ModelStore,
  ollamaOnly,
  type StoreCheck,
  type StoredModel,
} from '../../models/index.ts'
import { type Inventory, planModel, planModelOf, usualContextLength } from '../../placement/index.ts'
import { type ModelPlan, planOf } from './model-plan.ts'
import { examineTogether, type FittingModel, type TogetherExamined } from './together.ts'

/** What becomes of a model here. */
export interface ExaminedModel {
  name: string
  sizeBytes: number
  quantization?: string
  /**
   * `fits`: a plan was found; `too_large`: none was; `foreign`: its file is of a kind that only another loader reads;
   * `remote`: it runs at another server; `broken`: parts are missing or wrong.
   */
  state: 'fits' | 'too_large' | 'foreign' | 'remote' | 'broken'
  plan?: ModelPlan
  /** What is wrong or worth knowing, each with what to do. */
  problems: { text: string; advice: string }[]
}

export interface Examination {
  root: string
  models: ExaminedModel[]
  /** All that fit, as far as they can be loaded at the same time; absent where there are less than two. */
  together?: TogetherExamined
  unused: StoreCheck['unused']
  partial: StoreCheck['partial']
}

export interface ExamineOptions {
  store: ModelStore
  /** What the models are planned for. */
  inventory: Inventory
  /** Of the configuration. */
  maxLoadedModels: number
  digests: boolean
  signal: AbortSignal
  onProgress(message: string): void
}

/** Checks every model of a store and plans it for these machines. Changes nothing, and starts nothing. */
export async function examineStore(options: ExamineOptions): Promise<Examination> {
  const { store, inventory, maxLoadedModels, digests, signal, onProgress } = options
  onProgress(`reading ${store.root}`)
  const {
    models: checked,
    unused,
    partial,
  } = await checkStore(store.root, {
    digests,
    signal,
    onDigest: (path) => onProgress(`reading ${path}`),
  })
  const models: ExaminedModel[] = []
  const fitting: FittingModel[] = []
  for (const model of checked) {
    signal.throwIfAborted()
    onProgress(`planning ${model.name}`)
    models.push(await examine(model, options, fitting))
  }
  onProgress('planning all of them together')
  const together = examineTogether(fitting, inventory, maxLoadedModels)
  return { root: store.root, models, ...(together && { together }), unused, partial }
}

async function examine(
  checked: CheckedModel,
  { store, inventory }: ExamineOptions,
  fitting: FittingModel[],
): Promise<ExaminedModel> {
  const { name, sizeBytes } = checked
  const problems: ExaminedModel['problems'] = checked.problems.map(({ text, advice }) => ({ text, advice }))
  if (problems.length > 0) return { name, sizeBytes, state: 'broken', problems }
  try {
    const stored = await store.find(name)
    if (!stored) throw new DroverError('model_corrupt', 'the store does not list it under this name')
    const unfit = unfitModel(stored)
    if (unfit) return { name, sizeBytes, ...unfit }
    return { name, sizeBytes, ...placed(await store.describe(stored), inventory, fitting) }
  } catch (error) {
    if (!(error instanceof DroverError)) throw error
    const advice = `pull it anew: drover pull ${name}`
    return { name, sizeBytes, state: 'broken', problems: [{ text: error.message, advice }] }
  }
}

type Placed = Omit<ExaminedModel, 'name' | 'sizeBytes'>

/** Of a model that has no file here that could be planned. */
function unfitModel({ config, modelPath }: StoredModel): Placed | undefined {
  if (config.remote_host !== undefined) {
    const text = `it runs at ${config.remote_host}, and nothing of it is here`
    return { state: 'remote', problems: [{ text, advice: 'pull a model of that kind that has a file' }] }
  }
  return modelPath === '' ? { state: 'foreign', problems: [notGguf(config.model_format)] } : undefined
}

function placed(
  { stored, file, details, capabilities, projector }: ModelDescription,
  inventory: Inventory,
  fitting: FittingModel[],
): Placed {
  const quantization = details.quantization_level
  const reason = ollamaOnly(file)
  if (reason !== undefined) {
    const text = `it is laid out for Ollama's own loader: ${reason}`
    const advice =
      "pull its publisher's GGUF (hf.co/USER/REPOSITORY), or have Drover run it with Ollama (--engine ollama)"
    return { state: 'foreign', quantization, problems: [{ text, advice }] }
  }
  const embedding = !capabilities.includes('completion')
  const model = planModelOf({ name: stored.displayName, file, embedding, projector })
  const result = planModel(model, inventory, { defaultContextLength: usualContextLength(inventory) })
  if (result.ok) {
    fitting.push({ model, key: [stored.modelPath, ...stored.adapterPaths].join('|') })
    return { state: 'fits', quantization, plan: planOf(result.plans[0]), problems: [] }
  }
  return {
    state: 'too_large',
    quantization,
    problems: [{ text: result.message, advice: result.suggestions.join('; ') }],
  }
}

function notGguf(format = 'an unknown format'): ExaminedModel['problems'][number] {
  return {
    text: `its weights are ${format}, not GGUF`,
    advice:
      'pull a GGUF of the same model, or serve the folder it was made from with an engine that reads it',
  }
}
