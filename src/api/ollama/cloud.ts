import type { FastifyReply, FastifyRequest } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiContext, Handler } from '../context.ts'
import { sendJson } from '../http/index.ts'

/*
 * What belongs to Ollama's cloud. Drover sends nothing there, and no setting makes it: these routes answer as an
 * Ollama whose cloud is switched off.
 */

/** `GET /api/status` */
export async function cloudStatus(_context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  return sendJson(reply, '{"cloud":{"disabled":true,"source":"config"}}')
}

/** A route that only the cloud could answer: 403, with what is unavailable. */
export function refusedByCloud(what: string): Handler {
  return async () => {
    throw new DroverError('forbidden', `ollama cloud is disabled: ${what} is unavailable`)
  }
}

/** `POST /api/signout`: nobody is signed in, so that is done. */
export async function signOut(_context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  return sendJson(reply, 'null')
}

/** `GET /api/experimental/model-recommendations`: none, since they come from the cloud. */
export async function recommendations(_context: ApiContext, _request: FastifyRequest, reply: FastifyReply) {
  return sendJson(reply, '{"recommendations":[]}')
}
