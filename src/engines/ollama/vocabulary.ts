import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { DroverError } from '../../inference/index.ts'
import type { InstanceSpec } from '../contract.ts'

/** The file that a vocabulary is read from. */
export type VocabularySource = Pick<InstanceSpec, 'modelPath' | 'metadataOverrides'>

export type VocabularyQuestion = { id: number; source: VocabularySource } & (
  | { kind: 'tokenize'; text: string; addSpecial: boolean }
  | { kind: 'detokenize'; tokens: readonly number[] }
)

export type VocabularyAnswer = { id: number } & ({ value: number[] | string } | { error: string })

/**
 * Ollama's API has no tokenizer, so Drover reads the vocabulary of the model's own file, by llama.cpp and without the
 * weights. One process does it for all models, started at the first question; a broken file ends no more than that.
 */
export interface Vocabularies {
  /** Both throw `unsupported` with the reason where the file's vocabulary cannot be read here. */
  tokenize(source: VocabularySource, text: string, addSpecial: boolean): Promise<number[]>
  detokenize(source: VocabularySource, tokens: readonly number[]): Promise<string>
  /** Tells that somebody may ask; the process ends with the last `release`. */
  hold(): { release(): void }
}

type Asked = DistributiveOmit<VocabularyQuestion, 'id'>
type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never

export function createVocabularies(): Vocabularies {
  let reader: Reader | undefined
  let holders = 0

  function ask(question: Asked): Promise<number[] | string> {
    reader ??= startReader(() => {
      reader = undefined
    })
    return reader.ask(question)
  }

  return {
    tokenize: async (source, text, addSpecial) =>
      (await ask({ kind: 'tokenize', source: fileOf(source), text, addSpecial })) as number[],
    detokenize: async (source, tokens) =>
      (await ask({ kind: 'detokenize', source: fileOf(source), tokens })) as string,
    hold() {
      holders++
      let held = true
      return {
        release() {
          if (!held) return
          held = false
          if (--holders > 0) return
          reader?.end()
          reader = undefined
        },
      }
    },
  }
}

interface Reader {
  ask(question: Asked): Promise<number[] | string>
  end(): void
}

/** The last of what the process wrote, for the reason of its end. */
const keptOutput = 4096

function startReader(onEnd: () => void): Reader {
  const pending = new Map<number, { resolve(value: number[] | string): void; reject(error: Error): void }>()
  let lastId = 0
  let output = ''
  const child: ChildProcess = fork(fileURLToPath(new URL('./vocabulary-child.ts', import.meta.url)), [], {
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    execArgv: ['--disable-warning=ExperimentalWarning'],
  })
  child.stderr?.on('data', (data) => {
    output = (output + data).slice(-keptOutput)
  })
  child.on('message', (answer: VocabularyAnswer) => {
    const waiting = pending.get(answer.id)
    pending.delete(answer.id)
    if ('value' in answer) waiting?.resolve(answer.value)
    else waiting?.reject(unreadable(answer.error))
  })
  let asked = true
  const ended = (how: string) => {
    const words = output.trim().split('\n').at(-1)
    for (const { reject } of pending.values()) reject(unreadable(words ? `${words} (${how})` : how))
    pending.clear()
    // One that was ended may already have a successor.
    if (asked) onEnd()
    asked = false
  }
  child.once('close', (code, signal) => ended(signal ? `signal ${signal}` : `exit code ${code}`))
  child.on('error', (error) => ended(error.message))
  return {
    ask(question) {
      const id = ++lastId
      return new Promise((resolve, reject) => {
        pending.set(id, { resolve, reject })
        // A process that has just ended says so by its exit.
        child.send({ ...question, id }, () => undefined)
      })
    },
    end() {
      asked = false
      child.kill('SIGKILL')
    },
  }
}

function fileOf({ modelPath, metadataOverrides }: VocabularySource): VocabularySource {
  return { modelPath, ...(metadataOverrides && { metadataOverrides }) }
}

function unreadable(reason: string): DroverError {
  return new DroverError(
    'unsupported',
    `the server that runs this model counts no tokens, and its vocabulary cannot be read here: ${reason}`,
  )
}
