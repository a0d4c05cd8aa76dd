/**
 * The cells of each line of a boxed table as xpu-smi draws it; undefined for a rule (`+-----+`). Lines outside of the
 * box are left out.
 */
export function tableLines(text: string): (string[] | undefined)[] {
  return text.split(/\r?\n/).flatMap((raw) => {
    const line = raw.trim()
    if (/^\+[-+=]+\+?$/.test(line)) return [undefined]
    if (!line.startsWith('|') || !line.endsWith('|') || line.length < 2) return []
    return [
      line
        .slice(1, -1)
        .split('|')
        .map((cell) => cell.trim()),
    ]
  })
}

/** The two parts of `Device Name: Intel(R) Arc(TM)`; undefined where there is no colon. */
export function keyAndValue(cell: string): { key: string; value: string } | undefined {
  const at = cell.indexOf(':')
  return at < 1 ? undefined : { key: cell.slice(0, at).trim(), value: cell.slice(at + 1).trim() }
}

/** A whole number of a cell, such as a device's; undefined where the cell is something else. */
export function indexOf(cell: string | undefined): number | undefined {
  return /^\s*\d{1,5}\s*$/.test(cell ?? '') ? Number(cell) : undefined
}
