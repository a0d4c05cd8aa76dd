/** Types of weights that are worth asking for, the finest first: nobody loses by Q8_0 against 16 bits. */
const usualTypes = ['q8_0', 'q6_K', 'q5_K_M', 'q4_K_M', 'q4_0', 'q3_K_M', 'q2_K'] as const

/** What stands between a model's size and its type in Ollama's tags. */
const kinds = ['', 'instruct-', 'it-', 'chat-'] as const

/** A tag that is nothing but a type of weights, as repositories on Hugging Face have them. */
const typeTag = /^(ud-)?(i?q\d\w*|mxfp4\w*|tq\d\w*)$/i

const unquantised = /(^|-)(bf16|fp?16|fp?32)$/i

/** More are not looked at. */
const mostTags = 32

/**
 * Tags that may be the same model in other types of weights, the wanted one among them. `listed` are the registry's;
 * where it keeps no list they are those that are usual. Pure.
 */
export function variantTags(tag: string, listed: readonly string[]): string[] {
  const stem = withoutType(tag)
  const others = listed.length > 0 ? listed.filter((one) => isVariant(one, stem)) : usualTags(stem)
  const all = [...new Set([tag, ...others])]
  const quantised = all.filter((one) => one === tag || !unquantised.test(one))
  return quantised.slice(0, mostTags)
}

/** `70b-instruct` of `70b-instruct-q4_K_M`; empty for a tag that names no size. */
function withoutType(tag: string): string {
  if (tag === 'latest' || typeTag.test(tag)) return ''
  const words = tag.split('-')
  const last = words.at(-1) ?? ''
  return (typeTag.test(last) || unquantised.test(last) ? words.slice(0, -1) : words).join('-')
}

function isVariant(tag: string, stem: string): boolean {
  if (stem === '') return typeTag.test(tag)
  if (!tag.toLowerCase().startsWith(`${stem.toLowerCase()}-`)) return false
  const words = tag.slice(stem.length + 1).split('-')
  return words.length <= 2 && typeTag.test(words.at(-1) ?? '')
}

function usualTags(stem: string): string[] {
  if (stem === '') return usualTypes.flatMap((type) => [type, type.toUpperCase()])
  return kinds.flatMap((kind) => usualTypes.map((type) => `${stem}-${kind}${type}`))
}
