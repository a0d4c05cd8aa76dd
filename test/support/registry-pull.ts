import { openRegistry } from './registry-models.ts'

/*
 * A process that pulls one model, for tests that kill it: `node registry-pull.ts <store> <name>`. It says `ready` when
 * it begins and ends with 0 when the model is there.
 */

const [root = '', name = ''] = process.argv.slice(2)
const { registry } = await openRegistry(root)
process.stdout.write('ready\n')
let last = ''
for await (const { status } of registry.pull(name, { insecure: true }, new AbortController().signal))
  last = status
process.stdout.write(`${last}\n`)
