import { isPrintable } from './literals.ts'

const htmlEscapes: Record<string, string> = {
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '\0': '\ufffd',
}

const escapedInHtml = new RegExp(`[${Object.keys(htmlEscapes).join('')}]`, 'g')

/** Text made safe for HTML (`template.HTMLEscapeString`). */
export function escapeHtml(text: string): string {
  return text.replaceAll(escapedInHtml, (char) => htmlEscapes[char] ?? char)
}

const jsEscapes: Record<string, string> = { '\\': '\\\\', "'": "\\'", '"': '\\"' }

/** Text made safe within a JavaScript string (`template.JSEscapeString`). */
export function escapeJs(text: string): string {
  let escaped = ''
  for (const rune of text) {
    const code = rune.codePointAt(0) ?? 0
    const special = code < 0x20 || '<>&='.includes(rune) || (code >= 0x80 && !isPrintable(rune))
    escaped += jsEscapes[rune] ?? (special ? `\\u${code.toString(16).toUpperCase().padStart(4, '0')}` : rune)
  }
  return escaped
}

const keptInUrls = /[^A-Za-z0-9\-_.~]/gu

/** Text made safe within a URL's query (`url.QueryEscape`). */
export function escapeUrlQuery(text: string): string {
  return text.replaceAll(keptInUrls, (rune) =>
    rune === ' '
      ? '+'
      : [...Buffer.from(rune)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  )
}
