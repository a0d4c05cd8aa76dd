import type { CreateRequest } from '../../models/index.ts'
import {
  type Decoded,
  DecodeError,
  goAny,
  goArray,
  goBool,
  goCustom,
  goMap,
  goRecord,
  goString,
  goStruct,
  type Schema,
} from '../go-json/index.ts'
import { message, toMessage } from './requests.ts'

const transferFields = {
  model: goString,
  name: goString,
  insecure: goBool,
  username: goString,
  password: goString,
  stream: goBool,
}

export const pullRequest = goStruct('api', 'PullRequest', transferFields)
export const pushRequest = goStruct('api', 'PushRequest', transferFields)

export const copyRequest = goStruct('api', 'CopyRequest', { source: goString, destination: goString })
export const deleteRequest = goStruct('api', 'DeleteRequest', { model: goString, name: goString })

const digests = goRecord(goString, '', 'map[string]string')

/** One text or several. */
const licenses: Schema<string[]> = goCustom(
  'interface {}',
  { type: ['string', 'array'], items: { type: 'string' } },
  (value) => {
    const texts = Array.isArray(value) ? value : [value]
    if (texts.every((text): text is string => typeof text === 'string')) return texts
    throw new DecodeError('license must be a string or an array of strings')
  },
)

export const createRequest = goStruct('api', 'CreateRequest', {
  model: goString,
  name: goString,
  stream: goBool,
  quantize: goString,
  quantization: goString,
  draft_quantize: goString,
  from: goString,
  remote_host: goString,
  files: digests,
  draft_files: digests,
  adapters: digests,
  template: goString,
  license: licenses,
  system: goString,
  parameters: goMap,
  messages: goArray<Decoded<typeof message>>(message, {}),
  renderer: goString,
  parser: goString,
  requires: goString,
  info: goRecord(goAny, null, 'map[string]interface {}'),
})

/** The wire's names to the program's; the older name of a field holds where the newer is empty. */
export function toCreateRequest(body: Partial<Decoded<typeof createRequest>>): CreateRequest {
  const quantize = body.quantize || body.quantization
  return {
    model: body.model || body.name || '',
    ...(body.from && { from: body.from }),
    ...(body.files && { files: body.files }),
    ...(body.draft_files && { draftFiles: body.draft_files }),
    ...(body.adapters && { adapters: body.adapters }),
    ...(body.template && { template: body.template }),
    ...(body.license && { licenses: body.license }),
    ...(body.system && { system: body.system }),
    ...(body.parameters && { parameters: body.parameters }),
    ...(body.messages && { messages: body.messages.map(toMessage) }),
    ...(body.renderer && { renderer: body.renderer }),
    ...(body.parser && { parser: body.parser }),
    ...(body.requires && { requires: body.requires }),
    ...(quantize && { quantize }),
    ...(body.draft_quantize && { draftQuantize: body.draft_quantize }),
    ...(body.remote_host && { remoteHost: body.remote_host }),
    ...(body.info && { info: body.info }),
  }
}
