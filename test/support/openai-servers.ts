import { type ChildProcess, spawn } from 'node:child_process'
import {
  createOpenAiEngine,
  type Engine,
  type InstanceSpec,
  type OpenAiTarget,
} from '../../src/engines/index.ts'
import { freePort } from './free-port.ts'
import { ensureLlamaServer } from './llama-server.ts'

/** A real llama-server, as somebody else would have started it. */
export interface RunningLlama {
  url: string
  process: ChildProcess
  stop(): Promise<void>
}

/** Starts one and waits until it has its model. */
export async function startLlamaServer(
  spec: Pick<InstanceSpec, 'modelPath' | 'contextLength' | 'slots' | 'contextShift' | 'embedding'>,
  ...more: string[]
): Promise<RunningLlama> {
  const port = await freePort()
  const { modelPath, contextLength, slots, contextShift, embedding } = spec
  const args = ['-m', modelPath, '--host', '127.0.0.1', '--port', String(port), '-t', '1', '--no-webui']
  args.push('-c', String(contextLength * slots), '-np', String(slots), '--metrics')
  args.push(contextShift ? '--context-shift' : '--no-context-shift')
  if (embedding) args.push('--embedding')
  const child = spawn(await ensureLlamaServer(), [...args, ...more], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.on('data', (data) => {
    output = (output + data).slice(-4096)
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const url = `http://127.0.0.1:${port}`
  for (const endsAt = Date.now() + 60_000; ; await new Promise((resolve) => setTimeout(resolve, 20))) {
    if (child.exitCode !== null || Date.now() > endsAt)
      throw new Error(`llama-server did not start:\n${output}`)
    if (await isHealthy(url)) break
  }
  return {
    url,
    process: child,
    async stop() {
      child.kill('SIGKILL')
      await exited
    },
  }
}

async function isHealthy(url: string): Promise<boolean> {
  try {
    return (await fetch(`${url}/health`)).ok
  } catch {
    return false
  }
}

/** The engine `openai` over these servers. */
export function openAiEngine(
  targets: readonly OpenAiTarget[],
  log: (message: string) => void = () => undefined,
): Engine {
  return createOpenAiEngine({ targets, modelFolders: new Map(), runDir: '/nowhere', log })
}

/**
 * An engine that takes model files as others do: for each launch it starts a llama-server of its own and attaches the
 * engine `openai` to it. Closing the instance ends the server.
 */
export function overLlamaServers(changes: Partial<OpenAiTarget> = {}): Engine {
  return {
    ...openAiEngine([]),
    probe: async () => ({ available: true, version: '0', path: '/', devices: [], flags: new Set() }),
    async launch(spec, signal) {
      const server = await startLlamaServer(spec)
      const engine = openAiEngine([{ url: `${server.url}/v1`, model: spec.modelName, ...changes }])
      try {
        const instance = await engine.launch(spec, signal)
        const close = async (options?: { drainMs?: number }) => {
          await instance.close(options)
          await server.stop()
        }
        return { ...instance, pid: server.process.pid ?? 0, close }
      } catch (error) {
        await server.stop()
        throw error
      }
    },
  }
}
