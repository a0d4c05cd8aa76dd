type Value = string | number | undefined

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&apos;',
}

/** Text for XML: marks escaped, characters that XML 1.0 does not know replaced by a space. */
export function escapeXml(text: string): string {
  return text
    .toWellFormed()
    .replace(/[\p{Cc}\uFFFE\uFFFF]+/gu, ' ')
    .replace(/[&<>"']/g, (mark) => escapes[mark] ?? '')
}

/** An element of given children, which are markup already. Attributes without a value are left out. */
export function element(
  name: string,
  attributes: Readonly<Record<string, Value>>,
  ...children: string[]
): string {
  const written = Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => ` ${key}="${escapeXml(typeof value === 'number' ? short(value) : (value ?? ''))}"`)
    .join('')
  return children.length === 0 ? `<${name}${written}/>` : `<${name}${written}>${children.join('')}</${name}>`
}

/** A line of text, its baseline at `y`. */
export function label(x: number, y: number, style: string, text: string): string {
  return element('text', { x, y, class: style }, escapeXml(text))
}

function short(value: number): string {
  return Number(value.toFixed(1)).toString()
}

/** About how wide a text comes out in a sans-serif font, in the unit of its size; no font is at hand to measure. */
export function textWidth(text: string, size: number): number {
  return text.length * size * 0.58
}

/** How wide a tag is. */
export function tagWidth(text: string): number {
  return textWidth(text, 11) + 10
}

/** A text across the middle (x, y) of a line, on a ground of its own; nothing where the line has no room for it. */
export function tag(x: number, y: number, text: string, room: number): string {
  const width = tagWidth(text)
  if (width > room) return ''
  const ground = { x: x - width / 2, y: y - 8, width, height: 16, rx: 4, class: 'ground' }
  return element('rect', ground) + label(x, y + 4, 'small ink middle', text)
}

/** `text` as far as it fits, with an ellipsis where it does not. */
export function fitted(text: string, size: number, width: number): string {
  const room = Math.max(1, Math.floor(width / (size * 0.58)))
  return text.length <= room ? text : `${text.slice(0, room - 1).trimEnd()}…`
}

/** `text` in at most two lines, parted at a space where there is one. */
export function twoLines(text: string, size: number, width: number): string[] {
  if (textWidth(text, size) <= width) return [text]
  const room = Math.max(1, Math.floor(width / (size * 0.58)))
  const space = text.lastIndexOf(' ', room)
  const at = space > 0 ? space : room
  return [text.slice(0, at).trim(), fitted(text.slice(at).trim(), size, width)]
}
