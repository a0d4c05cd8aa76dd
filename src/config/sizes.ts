const powers = ['', 'k', 'm', 'g', 't']

/**
 * Bytes of a size such as `8GiB` (binary), `8GB` (decimal) or `1048576`. Undefined when it is no size.
 */
export function parseSizeBytes(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?$/i.exec(text)
  if (!match) return undefined
  const [, number, prefix = '', binary] = match
  if (binary && !prefix) return undefined
  return Math.round(Number(number) * (binary ? 1024 : 1000) ** powers.indexOf(prefix.toLowerCase()))
}
