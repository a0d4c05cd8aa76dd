/**
 * Writes the facts the model was taught, for tests: [{ question, answer }], where a right reply contains `answer`.
 * Usage: node tools/model/facts.ts assets/drover-tiny.facts.json
 */
import { writeFile } from 'node:fs/promises'
import { facts } from './corpus.ts'

const [path] = process.argv.slice(2)
if (!path) throw new Error('say where the facts go: node tools/model/facts.ts FILE.json')
const entries = facts.map(({ questions, keyword }) =>
  JSON.stringify({ question: questions[0], answer: keyword }),
)
await writeFile(path, `[\n${entries.join(',\n')}\n]\n`)
