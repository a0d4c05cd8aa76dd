export { decodeBase64 } from './base64.ts'
export { decodeJson } from './decode.ts'
export { maxDurationMs, parseGoDuration } from './duration.ts'
export {
  jsonFloat32Array,
  jsonString,
  jsonValue,
  nanoseconds,
  rfc3339NanoLocal,
  rfc3339NanoNow,
} from './encode.ts'
export { DecodeError } from './errors.ts'
export { goQuote } from './quote.ts'
export {
  type Decoded,
  decodeValue,
  goAny,
  goArray,
  goBool,
  goBytes,
  goCustom,
  goFloat,
  goInt,
  goLazy,
  goMap,
  goRecord,
  goString,
  goStruct,
  type JsonSchema,
  type Schema,
} from './schema.ts'
