import { getLlama, type LlamaContext, LlamaLogLevel } from 'node-llama-cpp'

/** The library that the embedded engine is built on, used by its own plain loop, in this process. */
export interface Library {
  /** Decodes on so many sequences at once, after prompts of `prompts`. */
  decode(prompts: readonly number[][], outputTokens: number): Promise<LibrarySpeed>
}

export interface LibrarySpeed {
  tokensPerSecond: number
  /** Share of the time that was spent inside llama.cpp's decode. */
  nativeShare: number
}

export async function openLibrary(modelPath: string, threads: number, sequences: number): Promise<Library> {
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    logLevel: LlamaLogLevel.error,
    maxThreads: threads,
  })
  const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
  const context = await model.createContext({ contextSize: 1024, sequences, batchSize: 512, threads })
  const native = timeNativeCalls(context)
  const free = Array.from({ length: sequences }, () => context.getSequence())

  return {
    async decode(prompts, outputTokens) {
      let begun = 0
      let tokens = 0
      let startedMs = 0
      let nativeBeforeMs = 0
      await Promise.all(
        prompts.map(async (prompt, index) => {
          const sequence = free[index]
          if (!sequence) throw new Error(`there is no sequence ${index}`)
          await sequence.clearHistory()
          let own = 0
          const options = { temperature: 0, yieldEogToken: true }
          for await (const _ of sequence.evaluate(prompt as never, options)) {
            // Timed from the moment that all of it decodes.
            if (own++ === 0 && ++begun === prompts.length) {
              startedMs = performance.now()
              nativeBeforeMs = native.ms
              tokens = 0
            }
            tokens++
            if (own === outputTokens) break
          }
        }),
      )
      const ms = performance.now() - startedMs
      return { tokensPerSecond: (tokens * 1000) / ms, nativeShare: (native.ms - nativeBeforeMs) / ms }
    },
  }
}

interface NativeContext {
  decodeBatch(...values: unknown[]): Promise<unknown>
}

/** Puts a clock around the library's one native call for decoding. */
function timeNativeCalls(context: LlamaContext): { ms: number } {
  const native = { ms: 0 }
  const inner = context as unknown as { _ctx: NativeContext }
  inner._ctx = new Proxy(inner._ctx, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key)
      if (typeof value !== 'function') return value
      if (key !== 'decodeBatch') return value.bind(target)
      return async (...values: unknown[]) => {
        const startedMs = performance.now()
        try {
          return await value.apply(target, values)
        } finally {
          native.ms += performance.now() - startedMs
        }
      }
    },
  })
  return native
}
