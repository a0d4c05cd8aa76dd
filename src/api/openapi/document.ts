import type { JsonSchema } from '../go-json/index.ts'
import { anthropicAnswers, ollamaAnswers, openAiAnswers } from './answers.ts'
import { type Operation, operations } from './operations.ts'

const errors = {
  Ollama: ollamaAnswers.error,
  OpenAI: openAiAnswers.error,
  Anthropic: anthropicAnswers.error,
  Drover: ollamaAnswers.error,
}

/** The API as an OpenAPI 3.1 document; request bodies by the very schemas that decode them. */
export function openApiDocument(version: string): object {
  const paths: Record<string, Record<string, object>> = {}
  for (const operation of operations) {
    paths[operation.path] ??= {}
    Object.assign(paths[operation.path] as object, { [operation.method]: describe(operation) })
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Drover',
      version,
      description: "Ollama's API, and OpenAI's and Anthropic's, for every GPU somebody owns.",
      license: { name: 'MIT', identifier: 'MIT' },
    },
    tags: Object.keys(errors).map((name) => ({ name })),
    paths,
  }
}

function describe(operation: Operation): object {
  const { method, path, summary, dialect, request } = operation
  const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '')
  return {
    operationId: `${method}${path.replace(/[^A-Za-z0-9]+(.?)/g, (_, letter: string) => letter.toUpperCase())}`,
    summary,
    tags: [dialect],
    ...(names.length > 0 && {
      parameters: names.map((name) => ({ name, in: 'path', required: true, schema: { type: 'string' } })),
    }),
    ...(request && { requestBody: { required: true, content: bodyOf(request) } }),
    responses: {
      200: { description: 'What was asked for', ...contentOf(operation) },
      ...(request && method === 'post' && path.includes('blobs') && { 201: { description: 'It is stored' } }),
      default: {
        description: 'Why not',
        ...(method !== 'head' && { content: { 'application/json': { schema: errors[dialect] } } }),
      },
    },
  }
}

function bodyOf(request: NonNullable<Operation['request']>): object {
  if ('jsonSchema' in request) return { 'application/json': { schema: request.jsonSchema } }
  return { [request.type]: { schema: request.schema } }
}

function contentOf({ answer, text, bytes, stream }: Operation): object {
  const content: Record<string, { schema: JsonSchema }> = {
    ...(text && { 'text/plain': { schema: { type: 'string' } } }),
    ...(bytes && { 'application/octet-stream': { schema: { type: 'string', format: 'binary' } } }),
    ...(answer && { 'application/json': { schema: answer } }),
    ...(stream && { [stream.type]: { schema: stream.piece } }),
  }
  return Object.keys(content).length > 0 ? { content } : {}
}
