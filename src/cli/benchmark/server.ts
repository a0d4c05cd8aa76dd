import { systemClock } from '../../core/index.ts'
import type { DeviceFigures } from './contract.ts'
import { callJson, readLines } from './lines.ts'

/** What a request asks for beside its prompt. */
export interface Ask {
  model: string
  prompt: string
  outputTokens: number
  seed: number
  /** `multi_gpu` of the request, for a Drover. */
  multiGpu?: Readonly<Record<string, unknown>>
}

/** A piece of an answer, with the time when it came: text, or the end with its counts. */
export type Piece = { atMs: number } & (
  | { type: 'text' }
  | { type: 'end'; promptTokens: number; outputTokens: number }
)

/** A server that can be measured. */
export interface Server {
  readonly url: string
  readonly kind: 'drover' | 'ollama' | 'openai'
  models(): Promise<{ name: string; parameterSize?: string }[]>
  /** The pieces of an answer as they come. Throws what went wrong. */
  ask(ask: Ask, signal: AbortSignal): AsyncGenerator<Piece>
  /** Ends every instance of the model, where the server can be told to. */
  unload(model: string): Promise<void>
}

/** Finds out what speaks at `url`. Throws where nothing does, or nothing known. */
export async function connectTo(url: string, key: string | undefined): Promise<Server> {
  const base = (url.includes('://') ? url : `http://${url}`).replace(/\/(v1\/?)?$/, '')
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` }
  const speaks = async (path: string) => {
    try {
      await callJson(`${base}${path}`, { method: 'GET', headers })
      return true
    } catch (error) {
      if (error instanceof Error && 'code' in error) {
        throw new Error(
          `no server answers at ${base} (${String(error.code)}): start one, or name another with --url`,
        )
      }
      return false
    }
  }
  // Whoever names OpenAI's root means that API, also of a server that speaks others.
  if (/\/v1\/?$/.test(url) && (await speaks('/v1/models'))) return openAiServer(base, headers)
  if (await speaks('/api/multigpu/topology')) return ollamaServer(base, 'drover', headers)
  if (await speaks('/api/version')) return ollamaServer(base, 'ollama', headers)
  if (await speaks('/v1/models')) return openAiServer(base, headers)
  throw new Error(`${base} speaks neither Ollama's API (/api/version) nor OpenAI's (/v1/models)`)
}

interface GenerateLine {
  response?: string
  thinking?: string
  done?: boolean
  error?: string
  prompt_eval_count?: number
  eval_count?: number
}

function ollamaServer(url: string, kind: 'drover' | 'ollama', headers: Record<string, string>): Server {
  return {
    url,
    kind,
    models: async () => {
      const { models } = await callJson<{
        models: { name: string; details?: { parameter_size?: string } }[]
      }>(`${url}/api/tags`, { method: 'GET', headers })
      return models.map(({ name, details }) => ({
        name,
        ...(details?.parameter_size !== undefined && { parameterSize: details.parameter_size }),
      }))
    },
    async *ask({ model, prompt, outputTokens, seed, multiGpu }, signal) {
      const options = { num_predict: outputTokens, seed, temperature: 0 }
      const body = {
        model,
        prompt,
        raw: true,
        options,
        ...(kind === 'drover' && multiGpu && { multi_gpu: multiGpu }),
      }
      for await (const { text, atMs } of readLines(`${url}/api/generate`, { body, headers, signal })) {
        const part = JSON.parse(text) as GenerateLine
        if (part.error !== undefined) throw new Error(part.error)
        if (part.response || part.thinking) yield { type: 'text', atMs }
        if (!part.done) continue
        const { prompt_eval_count: promptTokens = 0, eval_count: outputTokens = 0 } = part
        yield { type: 'end', atMs, promptTokens, outputTokens }
        return
      }
      throw new Error('the answer ended before it was complete')
    },
    unload: async (model) => {
      await callJson(`${url}/api/generate`, {
        method: 'POST',
        body: { model, keep_alive: 0, stream: false },
        headers,
      })
    },
  }
}

interface CompletionChunk {
  choices?: { text?: string }[]
  usage?: { prompt_tokens: number; completion_tokens: number }
  error?: { message?: string }
}

function openAiServer(url: string, headers: Record<string, string>): Server {
  return {
    url: `${url}/v1`,
    kind: 'openai',
    models: async () => {
      const { data } = await callJson<{ data: { id: string }[] }>(`${url}/v1/models`, {
        method: 'GET',
        headers,
      })
      return data.map(({ id }) => ({ name: id }))
    },
    async *ask({ model, prompt, outputTokens, seed }, signal) {
      const body = {
        model,
        prompt,
        seed,
        max_tokens: outputTokens,
        temperature: 0,
        stream: true,
        stream_options: { include_usage: true },
      }
      let pieces = 0
      let lastMs = 0
      let usage: CompletionChunk['usage']
      for await (const { text: line, atMs } of readLines(`${url}/v1/completions`, {
        body,
        headers,
        signal,
      })) {
        if (!line.startsWith('data:')) continue
        lastMs = atMs
        const data = line.slice('data:'.length).trim()
        if (data === '[DONE]') break
        const chunk = JSON.parse(data) as CompletionChunk
        if (chunk.error) throw new Error(chunk.error.message ?? 'the server broke its answer off')
        usage = chunk.usage ?? usage
        if (!chunk.choices?.some(({ text = '' }) => text !== '')) continue
        pieces++
        yield { type: 'text', atMs }
      }
      // Some servers tell no usage in a stream: a piece is taken for a token then.
      yield {
        type: 'end',
        atMs: lastMs,
        promptTokens: usage?.prompt_tokens ?? 0,
        outputTokens: usage?.completion_tokens ?? pieces,
      }
    },
    // Nothing in that API unloads a model.
    unload: async () => undefined,
  }
}

interface PerformanceAnswer {
  /** Absent where nobody is to watch them. */
  devices?: {
    id: string
    label: string
    memory: { usedBytes?: number; modelsBytes: number }
    utilization?: number
    powerWatts?: number
    temperatureC?: number
  }[]
}

type Devices = NonNullable<PerformanceAnswer['devices']>

/** Looks at a Drover's devices once a second until it is told to stop; sees nothing of other servers. */
export function watchDevices({ url, kind }: Server, intervalMs = 1000): { stop(): Promise<DeviceFigures[]> } {
  const looks: Devices[] = []
  const stopping = new AbortController()
  const watching = kind === 'drover' ? look() : Promise.resolve()

  async function look(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        const { devices = [] } = await callJson<PerformanceAnswer>(`${url}/api/multigpu/performance`)
        looks.push(devices)
        await systemClock.sleep(intervalMs, stopping.signal)
      } catch {
        // A server that is gone is seen by its requests, and the end of the watch is no error: what was seen counts.
        return
      }
    }
  }

  return {
    stop: async () => {
      stopping.abort()
      await watching
      return summarised(looks)
    },
  }
}

function summarised(looks: readonly Devices[]): DeviceFigures[] {
  const byId = Map.groupBy(looks.flat(), ({ id }) => id)
  return [...byId].map(([id, seen]) => {
    const mean = (name: 'utilization' | 'powerWatts' | 'temperatureC') => {
      const values = seen.flatMap((one) => one[name] ?? [])
      return values.length > 0
        ? { [name]: values.reduce((sum, value) => sum + value, 0) / values.length }
        : {}
    }
    const used = seen.flatMap(({ memory }) => memory.usedBytes ?? [])
    return {
      id,
      label: seen[0]?.label ?? id,
      modelsBytes: Math.max(...seen.map(({ memory }) => memory.modelsBytes)),
      ...(used.length > 0 && { memoryUsedBytes: Math.max(...used) }),
      ...mean('utilization'),
      ...mean('powerWatts'),
      ...mean('temperatureC'),
    }
  })
}
