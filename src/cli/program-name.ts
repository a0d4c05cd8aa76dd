import { basename } from 'node:path'

/** What the command is called: `ollama` when it was started through a link of that name, else `drover`. */
export function programName(path = process.argv[1] ?? ''): 'ollama' | 'drover' {
  return basename(path)
    .replace(/\.(exe|cmd|js)$/i, '')
    .toLowerCase() === 'ollama'
    ? 'ollama'
    : 'drover'
}
