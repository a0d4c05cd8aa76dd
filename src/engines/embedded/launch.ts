import { DroverError } from '../../inference/index.ts'
import type { EngineInstance, InstanceSpec } from '../contract.ts'
import { sessionFingerprint } from '../fingerprint.ts'
import { defaultThreads } from '../process/index.ts'
import { createInstance } from './instance.ts'
import { type EngineProcess, startProcess } from './process.ts'
import { type FromChild, fromWire, type ToChild } from './protocol.ts'

/** Loads the model in a new process; a failed or aborted launch leaves none behind. */
export async function launch(
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
  const engineProcess = startProcess('child', {
    env: spec.env,
    cores: spec.cores,
    onOutput: () => alive(),
  })
  const stop = new AbortController()
  const onAbort = () => stop.abort(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    let stall: NodeJS.Timeout | undefined
    alive = () => {
      clearTimeout(stall)
      if (spec.stallTimeoutMs === Number.POSITIVE_INFINITY || stop.signal.aborted) return
      stall = setTimeout(() => stop.abort(stalled(spec)), spec.stallTimeoutMs)
    }
    alive()
    const ready = await untilReady(engineProcess, spec, () => alive(), stop.signal)
    alive = () => undefined
    clearTimeout(stall)
    const sessions = await sessionsOf(spec, ready)
    return createInstance(engineProcess, spec, ready, sessions, log)
  } catch (error) {
    stop.abort(error)
    alive()
    engineProcess.child.kill('SIGKILL')
    await engineProcess.exited
    throw error
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function sessionsOf(spec: InstanceSpec, { llamaCpp }: FromChild & { type: 'ready' }) {
  const { sessionDir: dir } = spec
  if (dir === undefined || spec.embedding) return undefined
  return { dir, fingerprint: await sessionFingerprint(spec, `node-llama-cpp ${llamaCpp}`) }
}

function untilReady(
  { child, exited }: EngineProcess,
  spec: InstanceSpec,
  alive: () => void,
  signal: AbortSignal,
): Promise<FromChild & { type: 'ready' }> {
  return new Promise((resolve, reject) => {
    const onMessage = (message: FromChild) => {
      alive()
      if (message.type === 'ready') settle(() => resolve(message))
      else if (message.type === 'loadFailed') settle(() => reject(fromWire(message.error)))
    }
    const onAbort = () => settle(() => reject(signal.reason))
    const settle = (action: () => void) => {
      child.off('message', onMessage)
      signal.removeEventListener('abort', onAbort)
      action()
    }
    child.on('message', onMessage)
    signal.addEventListener('abort', onAbort)
    exited.then(({ kind, reason }) => {
      const code = kind === 'out_of_memory' ? 'insufficient_memory' : 'load_failed'
      settle(() =>
        reject(new DroverError(code, `the engine died while loading ${spec.modelName}: ${reason}`)),
      )
    })
    const message: ToChild = {
      type: 'load',
      spec,
      threads: spec.threads ?? spec.cores?.length ?? defaultThreads(),
    }
    // A process that could not start, or died at once, has an exit that says so.
    child.send(message, () => undefined)
  })
}

function stalled(spec: InstanceSpec): DroverError {
  return new DroverError(
    'load_stalled',
    `timed out waiting for ${spec.modelName} to load: no progress for ${Math.round(spec.stallTimeoutMs)} ms ` +
      '(OLLAMA_LOAD_TIMEOUT sets the limit)',
  )
}
