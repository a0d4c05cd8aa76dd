#!/usr/bin/env node
// Starts Drover whatever Node runs this: in this process when it is new enough, else on the Node that `npm ci` has
// brought. Plain JavaScript, so that an old Node can read it.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import module from 'node:module'
import { constants } from 'node:os'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

/** The first releases of 22 and 23, and all later ones, that run TypeScript as it stands. */
const oldest = { 22: 19, 23: 6 }
/** Tells the child that this launcher holds the other end of its IPC channel. */
const launchedMark = 'NODE_DROVER_LAUNCHED'

const inPackage = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url))

if (isNewEnough(process.versions.node)) await runHere()
else runOnBundledNode()

function isNewEnough(version) {
  const [major, minor] = version.split('.').map(Number)
  return major > 23 || minor >= (oldest[major] ?? Number.POSITIVE_INFINITY)
}

async function runHere() {
  silenceNoveltyWarnings()
  endWithLauncher()
  // Compiled code is kept, so that the next start need not do it again. Where nothing may be written it is not.
  module.enableCompileCache?.(inPackage('node_modules/.cache/drover'))
  const { main } = await import('../src/cli/index.ts')
  await main(process.argv)
}

function runOnBundledNode() {
  const node = ['node_modules/.bin/node', 'node_modules/node/bin/node'].map(inPackage).find(existsSync)
  if (!node) {
    process.stderr.write(
      `Error: Drover needs Node 22.19 or newer, this is ${process.versions.node}. ` +
        'Install a newer one, or run "npm ci" in the folder of Drover, which brings one along.\n',
    )
    process.exit(1)
  }
  // The IPC channel closes when this process ends, however it ends: so the child knows.
  // By the path it was started by: a link's name says what it is to be called.
  const child = spawn(node, process.argv.slice(1), {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, [launchedMark]: '1' },
  })
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`Error: ${node} does not start: ${error.message}\n`)
    process.exit(1)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]))
}

/** When the launcher dies without a word, Drover stops as if it had been told so twice. */
function endWithLauncher() {
  if (!process.env[launchedMark]) return
  delete process.env[launchedMark]
  process.channel?.unref()
  process.once('disconnect', () => {
    if (!process.emit('SIGHUP', 'SIGHUP')) process.exit(129)
    // Later than what counts as the same signal arriving again.
    setTimeout(() => process.emit('SIGHUP', 'SIGHUP'), 500)
  })
}

/** Node 22 and 23 warn that type stripping is new, and SQLite. */
function silenceNoveltyWarnings() {
  const emitWarning = process.emitWarning
  process.emitWarning = (warning, ...rest) => {
    if (!/Type Stripping|SQLite/.test(String(warning))) emitWarning.call(process, warning, ...rest)
  }
}
