import { DroverError } from '../../inference/index.ts'
import type { ModelName, TransferOptions } from '../contract.ts'
import { parseModelName } from '../names.ts'

/** A model at its registry. */
export interface RemoteModel {
  name: ModelName
  /** `https://registry.ollama.ai` */
  origin: string
  /** `library/llama3` */
  repository: string
  /** Certificates that nobody vouches for are accepted, and ways that lead from HTTPS to plain HTTP. */
  insecure: boolean
}

/**
 * Where a name leads. As in Ollama, `insecure` means plain HTTP; a name that begins with `https://` keeps HTTPS, and
 * only its certificate is not checked. Throws `invalid_request` for a name that is none, and for one that begins with
 * `http://` without `insecure`.
 */
export function remoteModel(text: string, { insecure = false }: TransferOptions): RemoteModel {
  const name = parseModelName(text)
  const written = /^([a-z]+):\/\//i.exec(text)?.[1]?.toLowerCase()
  const scheme = written ?? (insecure ? 'http' : 'https')
  if (scheme === 'http' && !insecure) throw new DroverError('invalid_request', 'insecure protocol http')
  if (scheme !== 'http' && scheme !== 'https') throw new DroverError('invalid_request', 'invalid model name')
  return { name, origin: `${scheme}://${name.host}`, repository: `${name.namespace}/${name.model}`, insecure }
}
