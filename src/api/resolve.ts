import type { FastifyRequest } from 'fastify'
import { DroverError } from '../inference/index.ts'
import { displayShortest, parseModelName, type StoredModel } from '../models/index.ts'
import type { ApiContext } from './context.ts'

/** Ollama says "not found" in a different way on each endpoint. */
export interface NotFoundWording {
  /** Status and text of a request that names no model. */
  missing: DroverError
  unknown(name: string): string
}

/** Refusal of a request that names no model, on most endpoints. */
export const modelRequired = new DroverError('invalid_request', 'model is required')

/** Wording of generate. */
export const generateWording: NotFoundWording = {
  missing: new DroverError('model_not_found', "model '' not found"),
  unknown: (name) => `model '${name}' not found`,
}

/** Wording of chat. */
export const chatWording: NotFoundWording = { missing: modelRequired, unknown: generateWording.unknown }

/** Wording of show, which names the model as Ollama would display it. */
export const showWording: NotFoundWording = {
  missing: modelRequired,
  unknown: (name) => generateWording.unknown(displayShortest(parseModelName(name))),
}

/** Wording of embed. */
export const embedWording: NotFoundWording = {
  missing: generateWording.missing,
  unknown: (name) => `model "${name}" not found, try pulling it first`,
}

/** Wording of the older embeddings. */
export const embeddingsWording: NotFoundWording = { missing: modelRequired, unknown: embedWording.unknown }

/** The longest valid name: a host of 350 characters and three parts of 80. */
const longestNameLogged = 600

/** Finds a request's model. Throws in the endpoint's own words when there is none. */
export async function resolveModel(
  context: ApiContext,
  request: FastifyRequest,
  name: string,
  wording: NotFoundWording,
): Promise<StoredModel> {
  if (name === '') throw new DroverError(wording.missing.code, wording.missing.message)
  request.exchange.model = name.slice(0, longestNameLogged)
  const stored = await context.store.find(name)
  if (!stored) throw new DroverError('model_not_found', wording.unknown(name))
  return stored
}
