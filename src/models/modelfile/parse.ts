import type { ModelOptions, Role } from '../../inference/index.ts'
import { type Command, commandsOf, ModelfileError } from './commands.ts'
import { readModelfileParameters } from './parameters.ts'

/** What a Modelfile says, its parameters with the types that they have. */
export interface Modelfile {
  /** Models, GGUF files or folders to start from, as written; at least one. */
  from: string[]
  adapters: string[]
  drafts: string[]
  template?: string
  system?: string
  renderer?: string
  parser?: string
  /** The version of Ollama that is needed at least. */
  requires?: string
  parameters: ModelOptions
  /** Names of parameters that once were and have no effect any more. */
  deprecated: string[]
  licenses: string[]
  messages: { role: Role; content: string }[]
}

const roles: readonly string[] = ['system', 'user', 'assistant']

/** `1.2.3`, perhaps with a `v`, a pre-release and a build. */
const semver = /^v?\d+(\.\d+){0,2}(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/

/**
 * Reads a Modelfile; bytes may be UTF-8 or, with a byte order mark, UTF-16. Throws `ModelfileError` with Ollama's
 * words for what is wrong.
 */
export function parseModelfile(source: string | Uint8Array): Modelfile {
  const commands = commandsOf(typeof source === 'string' ? source : decode(source))
  const values = (name: string) => commands.filter((one) => one.name === name).map(({ value }) => value)
  const last = (name: string) => values(name).at(-1)
  const from = values('from')
  if (from.length === 0) throw new ModelfileError('no FROM line')
  const requires = last('requires')
  if (requires !== undefined && !semver.test(requires)) {
    throw new ModelfileError('requires must be a valid semver (e.g. 0.14.0)')
  }
  const { options, deprecated } = readModelfileParameters(
    commands.filter(({ name }) => name === 'parameter').map(({ key, value }) => [key, value]),
  )
  const texts = {
    template: last('template'),
    system: last('system'),
    renderer: last('renderer'),
    parser: last('parser'),
    requires,
  }
  return {
    from,
    adapters: values('adapter'),
    drafts: values('draft'),
    ...(Object.fromEntries(Object.entries(texts).filter(([, text]) => text !== undefined)) as object),
    parameters: options,
    deprecated,
    licenses: values('license'),
    messages: commands.filter(({ name }) => name === 'message').map(toMessage),
  }
}

function toMessage({ key, value }: Command): { role: Role; content: string } {
  if (!roles.includes(key)) {
    throw new ModelfileError('message role must be one of "system", "user", or "assistant"')
  }
  return { role: key as Role, content: value }
}

function decode(bytes: Uint8Array): string {
  const [first, second] = bytes
  if (first === 0xff && second === 0xfe) return new TextDecoder('utf-16le').decode(bytes)
  if (first === 0xfe && second === 0xff) return new TextDecoder('utf-16be').decode(bytes)
  return new TextDecoder().decode(bytes)
}
