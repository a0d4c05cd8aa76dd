import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from 'fastify'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/**
 * What no route answers, as Ollama's HTTP library has it: a path with a slash too many (or too few) is redirected,
 * a known path with another method is 405, anything else 404.
 */
export function answerUnknown(app: FastifyInstance): void {
  const has = (method: HTTPMethods, url: string) => url !== '' && app.findRoute({ method, url }) !== null

  app.setNotFoundHandler((request, reply) => {
    const [path = '', query] = splitQuery(request.url)
    const sibling = path.endsWith('/') ? path.slice(0, -1) : `${path}/`
    if (has(request.method as HTTPMethods, sibling)) return redirect(request, reply, sibling + query)
    const allowed = methods.filter((method) => has(method, path))
    // A route that sent its request here has found nothing under a path of its own.
    const sentHere = allowed.some((method) => method === request.method)
    if (allowed.length === 0 || sentHere) return plainText(reply, 404, '404 page not found')
    return plainText(reply.header('allow', allowed.join(', ')), 405, '405 method not allowed')
  })
}

const splitQuery = (url: string): [string, string] => {
  const at = url.indexOf('?')
  return at < 0 ? [url, ''] : [url.slice(0, at), url.slice(at)]
}

function redirect(request: FastifyRequest, reply: FastifyReply, location: string): FastifyReply {
  if (request.method !== 'GET') return reply.code(307).header('location', location).send()
  const page = `<a href="${location.replaceAll('&', '&amp;').replaceAll('"', '&#34;')}">Moved Permanently</a>.\n\n`
  return reply.code(301).header('location', location).type('text/html; charset=utf-8').send(page)
}

function plainText(reply: FastifyReply, status: number, text: string): FastifyReply {
  return reply.code(status).header('content-type', 'text/plain').send(text)
}
