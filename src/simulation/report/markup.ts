const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }

function escaped(text: string): string {
  return text.replace(/[&<>"]/g, (mark) => escapes[mark] ?? '')
}

/** An element of given children, which are markup already; figures are cut to a tenth. */
export function element(
  name: string,
  attributes: Readonly<Record<string, string | number>>,
  ...children: string[]
): string {
  const written = Object.entries(attributes).map(([key, value]) => {
    const text = typeof value === 'number' ? Number(value.toFixed(1)).toString() : value
    return ` ${key}="${escaped(text)}"`
  })
  const open = `${name}${written.join('')}`
  return children.length === 0 ? `<${open}/>` : `<${open}>${children.join('')}</${name}>`
}

/** A line of text, its baseline at `y`. */
export function label(x: number, y: number, style: string, text: string): string {
  return element('text', { x, y, class: style }, escaped(text))
}
