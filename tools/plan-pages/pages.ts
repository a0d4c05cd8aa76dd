import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type PlanCase, planCases } from './cases.ts'

const launcher = fileURLToPath(new URL('../../bin/drover.js', import.meta.url))

/** A port that nothing listens on: the plans are those of this version, not of a server that happens to run. */
const nobody = '127.0.0.1:9'

/** Processes. */
const mostAtOnce = 3

/** The pages of `docs/plans` by file name, each with what the command prints now. */
export async function planPages(): Promise<Map<string, string>> {
  const home = await mkdtemp(join(tmpdir(), 'drover-plan-pages-'))
  try {
    const pages = new Map<string, string>()
    let next = 0
    const work = async () => {
      for (let one = planCases[next++]; one; one = planCases[next++]) {
        pages.set(`${one.name}.md`, await pageOf(one, home))
      }
    }
    await Promise.all(Array.from({ length: mostAtOnce }, work))
    return pages.set('README.md', indexPage())
  } finally {
    await rm(home, { recursive: true, force: true })
  }
}

async function pageOf({ title, about, args }: PlanCase, home: string): Promise<string> {
  const line = ['drover', 'plan', ...args.map((word) => (/^[\w.,:-]+$/.test(word) ? word : `"${word}"`))]
  return `# ${title}\n\n${about}\n\n\`\`\`console\n$ ${line.join(' ')}\n${await printed(args, home)}\`\`\`\n`
}

function indexPage(): string {
  const rows = planCases.map(({ name, title, args }) => {
    const [model = '', , gpus = ''] = args
    return `| [${title}](${name}.md) | \`${model}\` | \`${gpus}\` |`
  })
  return `# Plans

What \`drover plan\` makes of well-known cases: layout, speed, command lines, and the reasons. The speeds are worked out
from the cards' specifications, and no promise. \`docs/plan.md\` tells how to ask for one's own.

| case | model | machines |
| --- | --- | --- |
${rows.join('\n')}

These pages are written by \`node tools/plan-pages.ts\`.
`
}

/** What the command prints, whether it has a plan or a refusal. */
function printed(args: readonly string[], home: string): Promise<string> {
  const env = { PATH: process.env['PATH'], HOME: home, OLLAMA_HOST: nobody }
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [launcher, 'plan', ...args], { env }, (error, stdout, stderr) => {
      if (error && error.code !== 1) reject(error)
      else resolve(stdout + stderr)
    })
  })
}
