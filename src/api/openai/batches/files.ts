import { open } from 'node:fs/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../../inference/index.ts'
import type { Batches, FileWish } from '../../../routing/index.ts'
import type { ApiContext } from '../../context.ts'
import { jsonValue } from '../../go-json/index.ts'
import { sendJson } from '../../http/index.ts'
import { tenantOf } from '../../tenant.ts'
import { fileObject, listObject } from './encode.ts'
import { defaultLifetimeS, toLifetimeS, toPage } from './requests.ts'
import { receiveUpload, type UploadFields } from './upload.ts'

/** The store of files and batches. Throws `unsupported` where this server has none. */
export function batchesOf({ batches }: ApiContext): Batches {
  if (batches) return batches
  throw new DroverError('unsupported', 'this server keeps no files and batches')
}

const fileId = (request: FastifyRequest) => (request.params as { file: string }).file

/** `POST /v1/files`. */
export async function uploadFile(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const batches = batchesOf(context)
  const { bodyTimeoutMs } = context.config
  const file = await receiveUpload(request, bodyTimeoutMs, (content, fields) =>
    batches.addFile(tenantOf(request), content, () => toFileWish(fields)),
  )
  return sendJson(reply, jsonValue(fileObject(file)))
}

const longestFilename = 255

function toFileWish({ filename, value }: UploadFields): FileWish {
  const purpose = value('purpose')
  if (purpose !== 'batch') {
    const words = purpose === '' ? 'purpose is required' : `Invalid value for 'purpose': '${purpose}'`
    throw new DroverError('invalid_request', `${words}. Files are for batches here: 'batch'.`)
  }
  const anchor = value('expires_after[anchor]')
  const seconds = value('expires_after[seconds]')
  const wished = anchor !== '' || seconds !== ''
  return {
    filename: filename.toWellFormed().slice(0, longestFilename),
    expiresAfterS: wished ? toLifetimeS('expires_after', anchor, Number(seconds)) : defaultLifetimeS,
  }
}

/** `GET /v1/files`. */
export async function listFiles(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const page = toPage(request.query, { usual: 10_000, most: 10_000 })
  const { purpose } = request.query as Record<string, unknown>
  const wanted = typeof purpose === 'string' && purpose !== '' ? purpose : undefined
  const files = await batchesOf(context).files(tenantOf(request), page, wanted)
  return sendJson(reply, jsonValue(listObject(files, fileObject)))
}

/** `GET /v1/files/:file`. */
export async function showFile(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  return sendJson(
    reply,
    jsonValue(fileObject(await batchesOf(context).file(tenantOf(request), fileId(request)))),
  )
}

/** `GET /v1/files/:file/content`. */
export async function fileContent(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const batches = batchesOf(context)
  const path = await batches.contentPath(tenantOf(request), fileId(request))
  const file = await open(path)
  const { size } = await file.stat()
  reply.type('application/octet-stream').header('content-length', size)
  return reply.send(file.createReadStream())
}

/** `DELETE /v1/files/:file`. */
export async function deleteFile(context: ApiContext, request: FastifyRequest, reply: FastifyReply) {
  const id = fileId(request)
  await batchesOf(context).deleteFile(tenantOf(request), id)
  return sendJson(reply, jsonValue({ id, object: 'file', deleted: true }))
}
