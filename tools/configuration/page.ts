import { type Setting, settings, variableOf } from '../../src/config/settings.ts'

const rows: readonly Setting[] = Object.values(settings)

/** A setting as a row of the tables in docs/configuration.md. */
export function rowOf(setting: Setting): string {
  const { key, ollama, about, allowed, live } = setting
  const variables = [...(ollama ? [ollama.name] : []), variableOf(setting)].map((name) => `\`${name}\``)
  const initial = setting.default ? `\`${setting.default}\`` : ''
  return `| \`${key}\` | ${variables.join(' ')} | ${initial} | ${about} Takes ${allowed}.${live ? ' Live.' : ''} |`
}

/** Whether a line of the page is such a row. */
function isRow(line: string): boolean {
  return line.startsWith('| `') && line.includes('DROVER_')
}

/** The page with its rows as the program knows them: sections in the second table, all others in the first. */
export function withRows(page: string): string {
  const inSections = (setting: Setting) => setting.key.includes('.')
  const tables = [rows.filter((row) => !inSections(row)), rows.filter(inSections)]
  const lines = page.split('\n').filter((line) => !isRow(line))
  return lines
    .flatMap((line, at) => {
      const begins = lines[at - 1]?.startsWith('| in the file |') === true
      return begins ? [line, ...(tables.shift() ?? []).map(rowOf)] : [line]
    })
    .join('\n')
}
