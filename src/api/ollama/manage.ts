import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import { parseModelName } from '../../models/index.ts'
import type { ApiContext } from '../context.ts'
import { goQuote } from '../go-json/index.ts'
import { readJson } from '../http/index.ts'
import { modelRequired } from '../resolve.ts'
import {
  copyRequest,
  createRequest,
  deleteRequest,
  pullRequest,
  pushRequest,
  toCreateRequest,
} from './manage-requests.ts'
import { replyWithProgress } from './progress.ts'

/** `POST /api/pull`: fetches a model from the registry its name says. */
export async function pull(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model, name, insecure = false, stream } = await readJson(context, request, pullRequest)
  const wanted = model || name || ''
  parseModelName(wanted)
  request.exchange.model = wanted
  const progress = context.registry.pull(wanted, { insecure }, request.exchange.signal)
  return replyWithProgress(context, request, reply, progress, stream !== false)
}

/** `POST /api/push`: sends a model to the registry its name says. */
export async function push(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model, name, insecure = false, stream } = await readJson(context, request, pushRequest)
  const wanted = model || name || ''
  if (wanted === '') throw modelRequired
  request.exchange.model = wanted.slice(0, 600)
  const progress = context.registry.push(wanted, { insecure }, request.exchange.signal)
  return replyWithProgress(context, request, reply, progress, stream !== false)
}

/** `POST /api/create`: makes a model from another one or from files that were uploaded as blobs. */
export async function create(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const body = await readJson(context, request, createRequest)
  const wanted = toCreateRequest(body)
  parseModelName(wanted.model)
  request.exchange.model = wanted.model
  const progress = context.makeModel(wanted, request.exchange.signal)
  return replyWithProgress(context, request, reply, progress, body.stream !== false)
}

/** `POST /api/copy`: gives a model a second name. */
export async function copy(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { source = '', destination = '' } = await readJson(context, request, copyRequest)
  checkName(source, 'source')
  checkName(destination, 'destination')
  await context.store.copy(source, destination)
  return reply.code(200).send()
}

/** `DELETE /api/delete`: removes a name, and what nothing else uses. */
export async function remove(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const { model, name } = await readJson(context, request, deleteRequest)
  const wanted = model || name || ''
  if (wanted === '') throw modelRequired
  checkName(wanted, 'name')
  await context.store.remove(wanted)
  return reply.code(200).send()
}

function checkName(name: string, role: string): void {
  try {
    parseModelName(name)
  } catch (thrown) {
    throw new DroverError('invalid_request', `${role} ${goQuote(name)} is invalid`, { cause: thrown })
  }
}

/** `HEAD /api/blobs/:digest`: 200 when the store has it, 404 when not. */
export async function hasBlob({ store }: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const digest = digestOf(request)
  if ((await store.blobSize(digest)) === undefined) {
    throw new DroverError('model_not_found', `blob ${goQuote(digest)} not found`)
  }
  return reply.code(200).send()
}

/** `POST /api/blobs/:digest`: 201 for a blob that is new, 200 for one that was there. Its bytes are not kept in memory. */
export async function addBlob({ store, config }: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  // It may take hours, as long as it comes.
  reply.raw.setTimeout(config.writeStallTimeoutMs, () => request.raw.destroy())
  const created = await store.putBlob(digestOf(request), request.raw, request.exchange.signal)
  return reply.code(created ? 201 : 200).send()
}

function digestOf({ params }: FastifyRequest): string {
  const { digest = '' } = params as { digest?: string }
  return digest
}
