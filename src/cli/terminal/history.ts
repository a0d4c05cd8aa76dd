import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** What was typed before, oldest first. */
export interface History {
  readonly lines: readonly string[]
  /** Whether lines are written to the file. */
  enabled: boolean
  add(line: string): void
}

/** As many as Ollama keeps. */
const maxLines = 100

/**
 * The history in a file of Ollama's: one line each, newest last. A file that cannot be read is an empty history, and
 * one that cannot be written is told of once; typing goes on.
 */
export function openHistory(path: string, warn: (text: string) => void): History {
  let lines = readLines(path)
  let warned = false
  return {
    enabled: true,
    get lines() {
      return lines
    },
    add(line) {
      lines = [...lines, line].slice(-maxLines)
      if (!this.enabled || warned) return
      try {
        writeLines(path, lines)
      } catch (error) {
        warned = true
        warn(`the history is not kept: ${error instanceof Error ? error.message : String(error)}`)
      }
    },
  }
}

function readLines(path: string): string[] {
  try {
    const lines = readFileSync(path, 'utf8').split('\n')
    return lines
      .map((line) => line.trim())
      .filter((line) => line !== '')
      .slice(-maxLines)
  } catch {
    // None yet, or not ours to read: a history that begins today.
    return []
  }
}

/** Written aside and moved into place: another program that reads it meanwhile sees a whole file. */
function writeLines(path: string, lines: readonly string[]): void {
  mkdirSync(dirname(path), { recursive: true })
  const unfinished = `${path}.tmp`
  writeFileSync(unfinished, lines.map((line) => `${line}\n`).join(''), { mode: 0o600 })
  renameSync(unfinished, path)
}
