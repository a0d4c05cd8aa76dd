import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ModelDetails, StoredModel } from '../../models/index.ts'
import type { LoadedModel } from '../../routing/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonValue, maxDurationMs, rfc3339NanoLocal } from '../go-json/index.ts'
import { sendJson } from '../http/index.ts'

/** Model files to read at one time, so that a large store does not run out of file handles. */
const filesAtOnce = 16

/** `GET /api/tags`: every model of the store, newest first. */
export async function tags(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  const stored = await context.store.list()
  const models: Awaited<ReturnType<typeof listed>>[] = []
  for (let at = 0; at < stored.length; at += filesAtOnce) {
    const some = stored.slice(at, at + filesAtOnce)
    models.push(...(await Promise.all(some.map((model) => listed(context, model)))))
  }
  return sendJson(reply, jsonValue({ models }))
}

async function listed(context: ApiContext, stored: StoredModel) {
  return {
    name: stored.displayName,
    model: stored.displayName,
    modified_at: rfc3339NanoLocal(stored.modifiedAtMs),
    size: stored.sizeBytes,
    digest: stored.digest,
    ...(await detailsOf(context, stored)),
  }
}

/** Details from the model file; when that cannot be read the model is listed by what its manifest says. */
async function detailsOf(context: ApiContext, stored: StoredModel) {
  try {
    const { details, capabilities } = await context.store.describe(stored)
    return { details: orderedDetails(details), ...(capabilities.length > 0 && { capabilities }) }
  } catch (thrown) {
    const reason = thrown instanceof Error ? thrown.message : String(thrown)
    context.log.warn({ model: stored.displayName, reason }, 'model file cannot be read')
    return { details: manifestDetails(stored) }
  }
}

/** Keys in the order of the wire. */
export function orderedDetails(details: ModelDetails): ModelDetails {
  return {
    parent_model: details.parent_model,
    format: details.format,
    family: details.family,
    families: details.families,
    parameter_size: details.parameter_size,
    quantization_level: details.quantization_level,
    ...(details.context_length && { context_length: details.context_length }),
    ...(details.embedding_length && { embedding_length: details.embedding_length }),
  }
}

function manifestDetails({ config }: StoredModel): ModelDetails {
  return {
    parent_model: '',
    format: config.model_format ?? '',
    family: config.model_family ?? '',
    families: config.model_families ?? null,
    parameter_size: config.model_type ?? '',
    quantization_level: config.file_type ?? '',
  }
}

/** `GET /api/ps`: the models that run now. */
export async function ps(context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  const now = Date.now()
  const models = await Promise.all(context.router.loaded().map((loaded) => running(context, loaded, now)))
  return sendJson(reply, jsonValue({ models }))
}

async function running(context: ApiContext, loaded: LoadedModel, now: number) {
  const { stored } = loaded
  const { details } = await detailsOf(context, stored)
  const { context_length: _context, embedding_length: _embedding, ...shown } = details
  return {
    name: stored.displayName,
    model: stored.displayName,
    size: loaded.sizeBytes,
    digest: stored.digest,
    details: shown,
    // "For ever" is Go's longest duration from now, a day in the twenty-fourth century.
    expires_at: rfc3339NanoLocal(Math.min(loaded.expiresAtMs, now + maxDurationMs)),
    size_vram: loaded.vramBytes,
    context_length: loaded.contextLength,
  }
}
