import { readFile } from 'node:fs/promises'
import { validateGoTemplate } from '../../prompts/index.ts'
import { layerMediaType } from '../manifest.ts'
import { parseParameters } from '../parameters.ts'
import { type Base, type Making, refusal } from './making.ts'

/**
 * Lays template, system prompt, licences, parameters and messages over a base: texts replace what the base has,
 * licences come beside its own, parameters are laid over its own one by one.
 */
export async function layTexts(making: Making, base: Base): Promise<void> {
  const { template, system, licenses = [], parameters, messages = [] } = making.request
  const add = async (kind: string, text: string) => {
    base.layers.push(await making.putText(layerMediaType(kind), text))
  }
  if (base.detected) await add('template', base.detected.template)
  if (template) {
    checkTemplate(template)
    drop(base, 'template', 'prompt')
    await add('template', template)
  }
  if (system) {
    drop(base, 'system')
    await add('system', system)
  }
  for (const license of licenses) if (license !== '') await add('license', license)
  const wanted = { ...base.parameters, ...checked(parameters ?? {}) }
  if (Object.keys(wanted).length > 0) {
    const merged = { ...(await parametersOf(making, base)), ...wanted }
    drop(base, 'params')
    await add('params', JSON.stringify(merged))
  }
  if (messages.length > 0) {
    drop(base, 'messages')
    await add('messages', JSON.stringify(messages.map(({ role, content }) => ({ role, content }))))
  }
}

function checkTemplate(template: string): void {
  try {
    validateGoTemplate(template)
  } catch (error) {
    throw refusal(`template error: ${error instanceof Error ? error.message : error}`)
  }
}

function drop(base: Base, ...kinds: string[]): void {
  const types = kinds.map(layerMediaType)
  base.layers = base.layers.filter(({ mediaType }) => !types.includes(mediaType))
}

async function parametersOf({ store }: Making, { layers }: Base): Promise<object> {
  const layer = layers.find(({ mediaType }) => mediaType === layerMediaType('params'))
  return layer ? (JSON.parse(await readFile(store.blobPath(layer.digest), 'utf8')) as object) : {}
}

/** Parameters by the types that they have; a wrong one would be dropped each time that the model is read. */
function checked(parameters: Record<string, unknown>): object {
  const { options, dropped } = parseParameters(parameters)
  const [wrong] = dropped
  if (wrong !== undefined) {
    throw refusal(`parameter "${wrong}" is unknown or cannot be ${JSON.stringify(parameters[wrong])}`)
  }
  return options
}
