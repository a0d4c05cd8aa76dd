import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DeviceReport } from '../../src/api/index.ts'
import { openStore } from '../../src/models/index.ts'
import { withoutSettings } from '../../test/support/drover.ts'
import { freePort } from '../../test/support/free-port.ts'
import { ensureLlamaServer } from '../../test/support/llama-server.ts'
import { quietLog } from '../../test/support/quiet-log.ts'
import { type SyntheticShape, writeSyntheticGguf } from '../../tools/synthetic.ts'

/** A temporary folder that is gone when the benchmark ends. */
export function scratchFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'drover-bench-'))
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Makes a store with one synthetic model in it, and returns the model's file. */
export async function storeOf(modelsDir: string, name: string, shape: SyntheticShape): Promise<string> {
  const store = await openStore({ root: modelsDir, log: quietLog })
  const path = join(modelsDir, '..', `${name}.gguf`)
  await writeSyntheticGguf(path, shape)
  return (await store.importGguf(name, { path })).modelPath
}

const children = new Set<ChildProcess>()
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL')
})

/** Starts a program that dies with the benchmark. */
export function start(command: string, args: string[], env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const child = spawn(command, args, { env, stdio: ['ignore', 'ignore', 'ignore'] })
  children.add(child)
  child.once('exit', () => children.delete(child))
  return child
}

/** Waits until a GET is answered with 200. */
export async function ready(url: string, timeoutMs = 60_000): Promise<void> {
  const endsAt = Date.now() + timeoutMs
  for (;;) {
    const ok = await fetch(url).then(
      (response) => response.ok,
      () => false,
    )
    if (ok) return
    if (Date.now() > endsAt) throw new Error(`${url} did not answer within ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

/** nginx as the plainest proxy: unbuffered, kept connections, one worker. */
export function startNginx(folder: string, port: number, upstreamPort: number): ChildProcess {
  try {
    execFileSync('nginx', ['-v'], { stdio: 'ignore' })
  } catch (cause) {
    throw new Error('nginx is not on the PATH; install it (Debian: apt-get install nginx-light)', { cause })
  }
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `daemon off; worker_processes 1; pid ${folder}/nginx.pid; error_log ${folder}/nginx.log;
events { worker_connections 256; }
http {
  access_log off;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/f; uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  upstream engine { server 127.0.0.1:${upstreamPort}; keepalive 64; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_read_timeout 600s; proxy_next_upstream error non_idempotent;
    }
  }
}
`,
  )
  return start('nginx', ['-c', config, '-p', folder])
}

export interface DroverOptions {
  folder: string
  modelsDir: string
  engine: string
  env?: Record<string, string>
}

/** A Drover on a free port, without settings of the user's own. */
export async function startDrover({ folder, modelsDir, engine, env }: DroverOptions): Promise<Drover> {
  const port = await freePort()
  const llamaServer = engine === 'llama.cpp' ? { DROVER_LLAMA_SERVER: await ensureLlamaServer() } : {}
  const child = start(process.execPath, ['bin/drover.js', 'serve'], {
    ...withoutSettings(process.env),
    HOME: folder,
    DROVER_HOME: folder,
    DROVER_ENGINE: engine,
    ...llamaServer,
    OLLAMA_HOST: `127.0.0.1:${port}`,
    OLLAMA_MODELS: modelsDir,
    OLLAMA_KEEP_ALIVE: '-1',
    ...env,
  })
  const origin = `http://127.0.0.1:${port}`
  await ready(`${origin}/api/version`)
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGTERM')
    await exited
  }
  return { origin, stop }
}

export interface Drover {
  origin: string
  stop(): Promise<void>
}

/** The process of the instance on a device; undefined where none is ready there. */
export async function pidOn(origin: string, deviceId: string): Promise<number | undefined> {
  const { devices } = (await (await fetch(`${origin}/api/devices`)).json()) as DeviceReport
  const instances = devices.find(({ id }) => id === deviceId)?.instances ?? []
  return instances.find(({ state }) => state === 'ready')?.pid
}
