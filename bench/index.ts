/**
 * Runs the benchmarks one after the other: those that are named, else all that need nothing but this machine and an hour
 * or two. `--list` says what each measures.
 *
 *   node bench/index.ts [--list] [NAME...]
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { parseArgs } from 'node:util'

/** Run by themselves, with what they need. */
const apart: Readonly<Record<string, string>> = {
  'memory-splits': 'needs --server',
  soak: 'takes half an hour',
  split: 'installs 420 MB',
}

const { values: flags, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { list: { type: 'boolean', default: false } },
})

const all = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith('.ts') && file !== basename(import.meta.filename))
  .map((file) => basename(file, '.ts'))
const unknown = wanted.filter((name) => !all.includes(name))
const chosen = all.filter((name) => (wanted.length > 0 ? wanted.includes(name) : !(name in apart)))

if (unknown.length > 0) {
  console.error(`There is no benchmark ${unknown.join(', ')}: there are ${all.join(', ')}`)
  process.exitCode = 1
} else if (flags.list) {
  for (const name of wanted.length > 0 ? chosen : all) {
    const alone = apart[name] === undefined ? '' : ` (by itself: it ${apart[name]})`
    console.log(`${name.padEnd(15)} ${aboutOf(name)}${alone}`)
  }
} else {
  for (const name of chosen) {
    console.log(`\n== ${name}\n`)
    const { status } = spawnSync(process.execPath, [pathOf(name)], { stdio: 'inherit' })
    if (status !== 0) process.exitCode = 1
  }
}

function pathOf(name: string): string {
  return join(import.meta.dirname, `${name}.ts`)
}

/** The first sentence of what stands at the head of its file. */
function aboutOf(name: string): string {
  const head = /\/\*\*(.*?)\*\//s.exec(readFileSync(pathOf(name), 'utf8'))?.[1] ?? ''
  const text = head.replace(/\n \*/g, ' ').replace(/\s+/g, ' ').trim()
  return /^.*?[.:?](?= |$)/.exec(text)?.[0].replace(/:$/, '.') ?? text
}
