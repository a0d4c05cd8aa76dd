import type { FastifyReply, FastifyRequest } from 'fastify'
import { showModel } from '../../models/index.ts'
import type { ApiContext } from '../context.ts'
import { jsonValue, rfc3339NanoLocal } from '../go-json/index.ts'
import { readJson, sendJson } from '../http/index.ts'
import { toModelOptions } from '../options.ts'
import { resolveModel, showWording } from '../resolve.ts'
import { orderedDetails } from './models.ts'
import { showRequest } from './requests.ts'

/** `POST /api/show`: everything known about one model, the request's system prompt and options laid over it. */
export async function show(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, showRequest)
  const name = body.model || body.name || ''
  const found = await resolveModel(context, request, name, showWording)
  const described = await context.store.describe(found)
  const stored = {
    ...found,
    ...(body.system && { system: body.system }),
    parameters: { ...found.parameters, ...toModelOptions(body.options) },
  }
  const shown = await showModel({ ...described, stored }, { verbose: body.verbose === true })
  const fromCopilot = request.headers['user-agent']?.startsWith('GitHubCopilotChat/') === true
  const modelInfo = fromCopilot ? { ...shown.model_info, 'general.basename': name } : shown.model_info
  const { details, capabilities } = described
  const text = (key: string, value: string | undefined) => value && { [key]: value }
  return sendJson(
    reply,
    jsonValue({
      ...text('license', shown.license),
      ...text('modelfile', shown.modelfile),
      ...text('parameters', shown.parameters),
      ...text('template', shown.template),
      ...text('system', shown.system),
      details: orderedDetails(details),
      ...(stored.messages.length > 0 && {
        messages: stored.messages.map(({ role, content }) => ({ role, content })),
      }),
      model_info: modelInfo,
      ...(shown.projector_info && { projector_info: shown.projector_info }),
      ...(shown.tensors.length > 0 && { tensors: shown.tensors }),
      ...(capabilities.length > 0 && { capabilities }),
      modified_at: rfc3339NanoLocal(stored.modifiedAtMs),
      ...text('requires', stored.config.requires),
    }),
  )
}
