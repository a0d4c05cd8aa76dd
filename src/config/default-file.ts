import { names, rowOf } from './layer.ts'
import { type Setting, variableOf } from './settings.ts'

const head = `# Configuration of Drover. Every setting is here with its default, behind a "#": take that away to set it.
# Flags and variables count before this file. \`drover config validate\` checks it, \`drover config schema\` prints its
# JSON Schema for editors. "live" settings take effect when the file is saved, others at the next start.
`

const width = 116

/** A configuration file in which nothing is set and everything is explained. */
export function defaultFile(): string {
  const lines = [head]
  let open: string[] = []
  for (const name of names) {
    const row = rowOf(name)
    const path = row.key.split('.')
    const sections = path.slice(0, -1)
    const same = sections.findIndex((part, at) => open[at] !== part)
    const fresh = same < 0 ? sections.length : same
    for (const [at, part] of sections.entries()) {
      if (at >= fresh) lines.push(`# ${'  '.repeat(at)}${part}:`)
    }
    open = sections
    lines.push(...described(row, '  '.repeat(sections.length), path.at(-1) ?? name), '')
  }
  return lines.join('\n')
}

function described(row: Setting, indent: string, key: string): string[] {
  const variables = [...(row.ollama ? [row.ollama.name] : []), variableOf(row)].join(', ')
  const text = `${row.about} Takes ${row.allowed}. ${variables}${row.live ? '; live' : ''}.`
  const value = row.default === undefined || row.default === '' ? '' : ` ${yamlOf(row.default)}`
  return [...wrapped(text).map((line) => `## ${indent}${line}`), `# ${indent}${key}:${value}`]
}

/** A default is written as text: what YAML would take for something else stands in quotes. */
function yamlOf(text: string): string {
  return /^[\w./~%][\w./~%: -]*$/.test(text) && !/: |:$/.test(text) ? text : JSON.stringify(text)
}

function wrapped(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) ?? ''
    if (line.length + word.length + 1 > width) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}
