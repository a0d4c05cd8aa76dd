/** A parameter count as Ollama writes it: `1.2B`, `8B`, `137M`, `22.57M`, `96K`. */
export function humanCount(count: number): string {
  if (count >= 1e9) return `${scaled(count / 1e9, 1)}B`
  if (count >= 1e6) return `${scaled(count / 1e6, 2)}M`
  if (count >= 1e3) return `${Math.round(count / 1e3)}K`
  return String(count)
}

function scaled(value: number, digits: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(digits)
}
