import type { FastifyReply } from 'fastify'
import { DroverError } from '../../inference/index.ts'
import type { ApiContext } from '../context.ts'
import { sendJson } from '../http/index.ts'
import type { Configuration } from './configuration-directory.ts'

export type { ConfigurationReport } from './configuration-directory.ts'

/** `GET /api/config`: every setting with its value and whence it is. */
export async function configuration(context: ApiContext, reply: FastifyReply) {
  return sendJson(reply, JSON.stringify(configurationOf(context).report()))
}

/** Throws `unsupported` where the server was started without a configuration that can be asked. */
export function configurationOf({ configuration: found }: ApiContext): Configuration {
  if (found) return found
  throw new DroverError('unsupported', 'this server was not started from a configuration that it can tell')
}
