import { Busboy, type BusboyFileStream } from '@fastify/busboy'
import type { FastifyRequest } from 'fastify'
import { DroverError } from '../../../inference/index.ts'
import { contentTypeOf } from '../../http/index.ts'

/** What a form says beside its file. */
export interface UploadFields {
  filename: string
  /** Empty where the form has none of this name. */
  value(name: string): string
}

/** Fields are names and numbers; so many and such long ones are somebody's mistake. */
const formLimits = { files: 1, fields: 32, fieldSize: 4096, fieldNameSize: 100, headerPairs: 32 }

const refuse = (message: string) => new DroverError('invalid_request', message)

/**
 * Hands the file of a multipart form to `receive` as it comes; the fields are known when it has ended. Throws what
 * `receive` throws, `invalid_request` for what is no such form, `body_timeout` when nothing comes for `stallMs`,
 * `cancelled` when the client leaves.
 */
export function receiveUpload<T>(
  request: FastifyRequest,
  stallMs: number,
  receive: (content: AsyncIterable<Uint8Array>, fields: UploadFields) => Promise<T>,
): Promise<T> {
  const { raw, exchange } = request
  const form = createForm(contentTypeOf(request))
  const values = new Map<string, string>()
  /** Resolves at the end of the form, with what broke it if anything did. */
  const { promise: ended, resolve: endForm } = Promise.withResolvers<unknown>()

  return new Promise<T>((resolve, reject) => {
    let incoming: BusboyFileStream | undefined
    const fail = (reason: unknown) => {
      raw.unpipe(form)
      stopWaiting()
      endForm(reason)
      incoming?.destroy(reason instanceof Error ? reason : undefined)
      reject(reason)
    }
    const onAbort = () => fail(exchange.signal.reason)
    const tooSlow = () => fail(new DroverError('body_timeout', `nothing came for ${stallMs / 1000} s`))
    const timer = setTimeout(tooSlow, stallMs)
    const onData = () => timer.refresh()
    const stopWaiting = () => {
      clearTimeout(timer)
      raw.off('data', onData)
      exchange.signal.removeEventListener('abort', onAbort)
    }

    form.on('field', (name, value) => void values.set(name, value))
    form.on('file', (name, stream, filename) => {
      incoming = stream.on('error', fail)
      if (name !== 'file')
        return fail(refuse(`the file is in the field ${JSON.stringify(name)}, not in "file"`))
      const content = (async function* () {
        yield* stream as AsyncIterable<Uint8Array>
        // Fields may come after the file.
        const broken = await ended
        if (broken !== undefined) throw broken
      })()
      receive(content, { filename, value: (field) => values.get(field) ?? '' }).then(resolve, fail)
    })
    form.on('finish', () => {
      stopWaiting()
      endForm(undefined)
      if (!incoming) reject(refuse('file is required'))
    })
    form.on('error', (error) => fail(refuse(`the form cannot be read: ${String(error)}`)))
    exchange.signal.addEventListener('abort', onAbort)
    raw.on('data', onData).pipe(form)
  })
}

function createForm(contentType: string): InstanceType<typeof Busboy> {
  try {
    return new Busboy({ headers: { 'content-type': contentType }, limits: formLimits })
  } catch (cause) {
    throw new DroverError('invalid_request', "request Content-Type isn't multipart/form-data", { cause })
  }
}
