import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A Drover that runs as its own process, as its users run it. */
export interface TestDrover {
  url: string
  process: ChildProcess
  pid: number
  /** Everything it wrote so far. */
  output(): string
  /** SIGTERM, and the exit code it ends with. */
  stop(): Promise<number | null>
  exited: Promise<number | null>
  modelsDir: string
}

export interface TestDroverOptions {
  env?: Record<string, string>
  args?: string[]
  /** Reuse a store; default a new one that is removed at the end. */
  modelsDir?: string
  /** Flags of Node itself. */
  nodeArgs?: string[]
  /** Has the bundled model ready. Default true. */
  demo?: boolean
}

/** Starts `drover serve` on a free port and waits until it says where it listens. */
export async function startDrover(options: TestDroverOptions = {}): Promise<TestDrover> {
  const home = await mkdtemp(join(tmpdir(), 'drover-test-'))
  const modelsDir = options.modelsDir ?? join(home, 'models')
  const demo = options.demo === false ? [] : ['--demo']
  const args = [
    ...(options.nodeArgs ?? []),
    join(root, 'bin/drover.js'),
    'serve',
    ...demo,
    ...(options.args ?? []),
  ]
  const child = spawn(process.execPath, args, {
    cwd: home,
    env: {
      ...withoutSettings(process.env),
      HOME: home,
      DROVER_HOME: home,
      OLLAMA_HOST: '127.0.0.1:0',
      OLLAMA_MODELS: modelsDir,
      ...options.env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const exited = new Promise<number | null>((resolve) => {
    child.once('exit', (code) => {
      // Whoever waits for the end may end itself then.
      rm(home, { recursive: true, force: true })
        .catch(console.error)
        .finally(() => resolve(code))
    })
  })
  const url = await new Promise<string>((resolve, reject) => {
    const onData = (data: Buffer) => {
      output += data
      const address = /http:\/\/127\.0\.0\.1:\d+/.exec(output)?.[0]
      if (address) resolve(address)
    }
    child.stdout.on('data', onData)
    child.stderr.on('data', onData)
    exited.then((code) => reject(new Error(`drover ended with ${code}:\n${output}`)))
  })
  return {
    url,
    process: child,
    pid: child.pid ?? 0,
    output: () => output,
    exited,
    modelsDir,
    stop: () => {
      child.kill('SIGTERM')
      return exited
    },
  }
}

/** The surroundings without settings of the tester's own that would change what is tested. */
export function withoutSettings(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(env).filter(([name]) => !/^(OLLAMA|DROVER|LLAMA)_/.test(name))
  return Object.fromEntries(kept)
}

/** Runs `drover` to its end. */
export async function runDrover(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'bin/drover.js'), ...args], {
    env: { ...withoutSettings(process.env), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (data) => {
    stdout += data
  })
  child.stderr.on('data', (data) => {
    stderr += data
  })
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { code, stdout, stderr }
}

/** Posts JSON and reads the whole answer. */
export async function post(
  url: string,
  body: unknown,
): Promise<{ status: number; text: string; headers: Headers }> {
  const response = await fetch(url, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  return { status: response.status, text: await response.text(), headers: response.headers }
}

/** The lines of an NDJSON answer. */
export function ndjson<T = Record<string, unknown>>(text: string): T[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as T)
}

/** Processes whose parent, or whose parent's parent and so on, is `pid`. Linux and macOS. */
export async function descendants(pid: number): Promise<number[]> {
  const child = spawn('ps', ['-eo', 'pid=,ppid='], { stdio: ['ignore', 'pipe', 'inherit'] })
  let text = ''
  for await (const chunk of child.stdout) text += chunk
  const pairs = text
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
  const below = (parent: number): number[] =>
    pairs.flatMap(([own = 0, of]) => (of === parent ? [own, ...below(own)] : []))
  return below(pid).filter((own) => own !== child.pid)
}

/** `kill -9` for all processes below `pid`. One that ended by itself since they were listed, as a probe may, counts as killed. */
export async function killDescendants(pid: number): Promise<void> {
  for (const below of await descendants(pid)) {
    try {
      process.kill(below, 'SIGKILL')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    }
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

/** Waits until `condition` holds, or throws after `timeoutMs` saying what was waited for. */
export async function until(
  what: string,
  timeoutMs: number,
  condition: () => boolean | Promise<boolean>,
): Promise<void> {
  const endsAt = Date.now() + timeoutMs
  while (!(await condition())) {
    if (Date.now() > endsAt) throw new Error(`not within ${timeoutMs} ms: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Gets a JSON body. */
export async function getJson<T>(url: string): Promise<T> {
  return (await fetch(url)).json() as Promise<T>
}
