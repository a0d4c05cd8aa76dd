import { DroverError } from '../inference/index.ts'
import type { ModelName } from './contract.ts'

/*
 * Model names as Ollama writes them: `[scheme://][host/][namespace/]model[:tag][:source]`. What is left out is
 * `registry.ollama.ai`, `library` and `latest`. A source says where a model is to be run: `:local` here only,
 * `:cloud` (or a tag that ends in `-cloud`) at a remote service.
 */

const defaults = { host: 'registry.ollama.ai', namespace: 'library', tag: 'latest' } as const

/** Rules of the parts. No part can begin with a dot, so no part can lead out of the store's folder. */
const rules: Record<keyof ModelName, RegExp> = {
  host: /^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}$/,
  namespace: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,79}$/,
  model: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/,
  tag: /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}$/,
}

/** A name that a client wrote, and where it wants the model run, if it said so. */
export interface ModelReference {
  name: ModelName
  source?: 'local' | 'cloud'
}

/**
 * Takes a name apart; undefined when it is not valid. The source `:local` is dropped from the name, while `:cloud`
 * stays in its tag (`x:20b:cloud` is `x:20b-cloud`), because that is how Ollama's store files such models.
 */
export function parseModelReference(text: string): ModelReference | undefined {
  const [, base, source] = /^(.*):(local|cloud)$/is.exec(text) ?? []
  const written = base === undefined ? text : base
  if (source?.toLowerCase() === 'local') return withSource(parseParts(written), 'local')
  if (source !== undefined && lastCut(written, ':', '/'))
    return withSource(parseParts(`${written}-cloud`), 'cloud')
  const name = parseParts(text)
  return name && /(^|-)cloud$/i.test(name.tag) ? { name, source: 'cloud' } : withSource(name)
}

/** The parts of a name. Throws `invalid_request` ("invalid model name"). */
export function parseModelName(text: string): ModelName {
  const reference = parseModelReference(text)
  if (reference === undefined) throw new DroverError('invalid_request', 'invalid model name')
  return reference.name
}

/** Whether every part keeps its rule: true for names from `parseModelName`, to be asked of others. */
export function isValidName(name: ModelName): boolean {
  return (
    rules.host.test(name.host) &&
    rules.namespace.test(name.namespace) &&
    rules.model.test(name.model) &&
    rules.tag.test(name.tag)
  )
}

/** The name as Ollama displays it: without the defaults, always with the tag (`llama3:latest`, `me/m:q4`). */
export function displayShortest({ host, namespace, model, tag }: ModelName): string {
  const short = `${model}:${tag}`
  if (host.toLowerCase() !== defaults.host) return `${host}/${namespace}/${short}`
  return namespace.toLowerCase() === defaults.namespace ? short : `${namespace}/${short}`
}

/** `registry.ollama.ai/library/llama3:latest` */
export function fullModelName({ host, namespace, model, tag }: ModelName): string {
  return `${host}/${namespace}/${model}:${tag}`
}

/** Folders and file of a name below `manifests`; every segment is safe in a path. */
export function manifestSegments({
  host,
  namespace,
  model,
  tag,
}: ModelName): [string, string, string, string] {
  return [host, namespace, model, tag]
}

function withSource(name: ModelName | undefined, source?: 'local' | 'cloud'): ModelReference | undefined {
  return name && { name, ...(source && { source }) }
}

/** Cuts from the right: tag, model, namespace, host. An empty part is an error, a missing one its default. */
function parseParts(text: string): ModelName | undefined {
  const tagged = lastCut(text, ':', '/')
  const tag = tagged ? tagged.tail : defaults.tag
  const named = lastCut(tagged ? tagged.head : text, '/')
  if (!named) return checked({ ...defaults, model: tagged ? tagged.head : text, tag })
  const spaced = lastCut(named.head, '/')
  if (!spaced) return checked({ host: defaults.host, namespace: named.head, model: named.tail, tag })
  const host = spaced.head.replace(/^[a-z]+:\/\//i, '')
  return checked({ host, namespace: spaced.tail, model: named.tail, tag })
}

function checked(name: ModelName): ModelName | undefined {
  return isValidName(name) ? name : undefined
}

/** Cuts at the last `separator` that stands behind every `barrier`. */
function lastCut(
  text: string,
  separator: string,
  barrier?: string,
): { head: string; tail: string } | undefined {
  const at = text.lastIndexOf(separator)
  if (at < 0 || (barrier !== undefined && at < text.lastIndexOf(barrier))) return undefined
  return { head: text.slice(0, at), tail: text.slice(at + 1) }
}

/** `tiny` and `tiny:latest` are one model; case does not count. */
export function isSameModel(a: string, b: string): boolean {
  const whole = (name: string) => (/:[^/]*$/.test(name) ? name : `${name}:latest`).toLowerCase()
  return whole(a) === whole(b)
}
