import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { findOnPath, isExecutable, run } from '../../src/engines/install/source.ts'

/** Where tests keep the program from one run to the next. */
const cacheFolder =
  process.env['DROVER_TEST_REGISTRY'] ??
  join(import.meta.dirname, '../../node_modules/.cache/docker-registry')

const packageName = 'docker-registry'
const downloadTimeoutMs = 5 * 60_000

/** A real registry server, Docker's own, that keeps its blobs in a folder. */
export interface DockerRegistry {
  /** `127.0.0.1:<port>` */
  host: string
  stop(): Promise<void>
}

/** Starts the registry on a free port. Rejects, with the reason, where the program cannot be had. */
export async function startDockerRegistry(): Promise<DockerRegistry> {
  const program = await ensureProgram()
  const folder = await mkdtemp(join(tmpdir(), 'drover-registry-'))
  const config = join(folder, 'config.json')
  // YAML, of which JSON is a part.
  const settings = {
    version: 0.1,
    log: { level: 'info' },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    http: { addr: '127.0.0.1:0' },
  }
  await writeFile(config, JSON.stringify(settings))
  const child = spawn(program, ['serve', config], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, OTEL_TRACES_EXPORTER: 'none' },
  })
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  let log = ''
  const host = await new Promise<string>((resolve, reject) => {
    child.stderr.on('data', (data) => {
      if (log.length > 64 * 1024) return
      log += data
      const address = /listening on (127\.0\.0\.1:\d+)/.exec(log)?.[1]
      if (address) resolve(address)
    })
    child.once('error', reject)
    exited.then(() => reject(new Error(`${program} ended:\n${log}`)))
  })
  return {
    host,
    async stop() {
      child.kill('SIGTERM')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}

let ensured: Promise<string> | undefined

function ensureProgram(): Promise<string> {
  ensured ??= findProgram().catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Error(
      `the tests of pull and push need the program docker-registry, which could not be had (${reason}): install ` +
        'the package docker-registry, or run them on a machine with apt and a network',
      { cause: error },
    )
  })
  return ensured
}

/** The machine's own program, the cached one, or the one of Debian's package, unpacked without being installed. */
async function findProgram(): Promise<string> {
  const installed = await findOnPath(packageName)
  if (installed) return installed
  const cached = join(cacheFolder, 'usr/bin', packageName)
  if (await isExecutable(cached)) return cached
  await mkdir(join(cacheFolder, '..'), { recursive: true })
  const staging = await mkdtemp(`${cacheFolder}-`)
  try {
    await chmod(staging, 0o755)
    const deb = await downloadPackage(staging)
    await run('dpkg-deb', ['-x', deb, join(staging, 'root')], { timeoutMs: downloadTimeoutMs })
    await rm(cacheFolder, { recursive: true, force: true })
    await rename(join(staging, 'root'), cacheFolder)
  } finally {
    await rm(staging, { recursive: true, force: true })
  }
  if (await isExecutable(cached)) return cached
  throw new Error(`the package ${packageName} has no program of that name`)
}

/** Downloads with the machine's package lists, or, where it has none, with new ones of this folder's own. */
async function downloadPackage(folder: string): Promise<string> {
  const download = async (options: string[]) => {
    const script = 'cd "$0" && exec apt-get "$@" -q download'
    await run('sh', ['-c', `${script} ${packageName}`, folder, ...options], { timeoutMs: downloadTimeoutMs })
  }
  try {
    await download([])
  } catch (error) {
    const state = ['-o', `Dir::State=${folder}/state`, '-o', `Dir::Cache=${folder}/cache`]
    await mkdir(join(folder, 'state/lists/partial'), { recursive: true })
    await mkdir(join(folder, 'cache/archives/partial'), { recursive: true })
    await run('apt-get', [...state, '-q', 'update'], { timeoutMs: downloadTimeoutMs }).catch(() => {
      throw error
    })
    await download(state)
  }
  const deb = (await readdir(folder)).find((name) => name.endsWith('.deb'))
  if (deb === undefined) throw new Error('apt-get downloaded nothing')
  return join(folder, deb)
}

/** `sha256:<hex>` of some bytes. */
export function digestOf(bytes: string | Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
