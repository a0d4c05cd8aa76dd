import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { DroverError } from '../../inference/index.ts'
import type { Engine, EngineInstance, EngineProbe, InstanceSpec } from '../contract.ts'
import { defaultThreads } from '../process/index.ts'
import { createInstance } from './instance.ts'
import { startProcess } from './process.ts'
import { type Discovery, type FromChild, fromWire } from './protocol.ts'

/** Looking for devices may take a driver's start; longer is a hang. */
const probeTimeoutMs = 20_000

/**
 * llama.cpp inside Drover's own package (node-llama-cpp), one child process an instance: what runs models where
 * nothing else is installed.
 */
export function createEmbeddedEngine({ log }: { log(message: string): void }): Engine {
  let probed: Promise<EngineProbe> | undefined
  return {
    name: 'embedded',
    probe: () => {
      probed ??= discover()
      return probed
    },
    launch: (spec, signal) => launch(spec, log, signal),
  }
}

async function discover(): Promise<EngineProbe> {
  let path: string
  try {
    path = dirname(fileURLToPath(import.meta.resolve('node-llama-cpp')))
  } catch {
    return { available: false, reason: 'the package node-llama-cpp is not installed: run "npm ci"' }
  }
  const { child, exited, output } = startProcess('discover')
  const timer = setTimeout(() => child.kill('SIGKILL'), probeTimeoutMs)
  const found = new Promise<Discovery>((resolve) =>
    child.once('message', (message) => resolve(message as Discovery)),
  )
  const discovery = await Promise.race([found, exited.then(() => undefined)])
  clearTimeout(timer)
  if (!discovery) {
    const reason = output().trim().split('\n').at(-1)
    return {
      available: false,
      reason: `node-llama-cpp does not start here: ${reason || 'it gave no reason'}`,
    }
  }
  const version = discovery.llamaCpp
  return { available: true, version, path, devices: discovery.devices, flags: new Set() }
}

/** Loads the model in a new process; a failed or aborted launch leaves none behind. */
async function launch(
  spec: InstanceSpec,
  log: (message: string) => void,
  signal: AbortSignal,
): Promise<EngineInstance> {
  signal.throwIfAborted()
  if (spec.projectorPaths.length > 0) {
    throw new DroverError(
      'load_failed',
      `${spec.modelName} has a projector, which the embedded engine cannot run`,
    )
  }
  let alive: () => void = () => undefined
  const engineProcess = startProcess('child', () => alive())
  const { child, exited, output } = engineProcess
  const onAbort = () => child.kill('SIGKILL')
  signal.addEventListener('abort', onAbort, { once: true })
  let stall: NodeJS.Timeout | undefined
  let onMessage: (message: FromChild) => void = () => undefined
  try {
    const ready = await new Promise<FromChild & { type: 'ready' }>((resolve, reject) => {
      alive = () => {
        clearTimeout(stall)
        if (spec.stallTimeoutMs === Number.POSITIVE_INFINITY) return
        stall = setTimeout(() => reject(stalled(spec)), spec.stallTimeoutMs)
      }
      alive()
      onMessage = (message) => {
        alive()
        if (message.type === 'ready') resolve(message)
        else if (message.type === 'loadFailed') reject(fromWire(message.error))
      }
      child.on('message', onMessage)
      exited.then(({ code, signal: killedBy }) => {
        const how = killedBy ? `signal ${killedBy}` : `exit code ${code}`
        const words = output().trim().split('\n').slice(-3).join('; ')
        reject(
          new DroverError(
            'engine_crashed',
            `the engine died while loading ${spec.modelName} (${how}): ${words}`,
          ),
        )
      })
      child.send({ type: 'load', spec, threads: spec.threads ?? defaultThreads() })
    })
    return createInstance(engineProcess, spec, ready, log)
  } catch (error) {
    child.kill('SIGKILL')
    await exited
    throw signal.aborted ? signal.reason : error
  } finally {
    alive = () => undefined
    clearTimeout(stall)
    signal.removeEventListener('abort', onAbort)
    child.off('message', onMessage)
  }
}

function stalled(spec: InstanceSpec): DroverError {
  const seconds = Math.round(spec.stallTimeoutMs / 1000)
  return new DroverError(
    'load_stalled',
    `timed out waiting for ${spec.modelName} to load: no progress for ${seconds} s (OLLAMA_LOAD_TIMEOUT sets the limit)`,
  )
}
