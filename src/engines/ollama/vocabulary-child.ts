/** The process that reads vocabularies: the words of a model file without its weights, asked over the IPC channel. */
import { getLlama, LlamaLogLevel, type Token } from 'node-llama-cpp'
import { nested } from '../embedded/model.ts'
import { createVocabulary, type Vocabulary } from '../embedded/vocabulary.ts'
import type { VocabularyAnswer, VocabularyQuestion, VocabularySource } from './vocabulary.ts'

/** Vocabularies that are kept at once, the last used ones: each takes some 100 MB. */
const mostKept = 4
const kept = new Map<string, Promise<Vocabulary & { free(): Promise<void> }>>()

// Drover has died or let go: no native call may keep this process.
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'))
// A Ctrl-C reaches the whole group of processes; Drover decides when its engines end.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)
process.on('message', (question: VocabularyQuestion) => {
  answerTo(question).then(
    (value) => send({ id: question.id, value }),
    (error: unknown) =>
      send({ id: question.id, error: error instanceof Error ? error.message : String(error) }),
  )
})

function send(answer: VocabularyAnswer): void {
  if (process.connected) process.send?.(answer)
}

async function answerTo(question: VocabularyQuestion): Promise<number[] | string> {
  const vocabulary = await vocabularyOf(question.source)
  return question.kind === 'tokenize'
    ? vocabulary.tokenize(question.text, question.addSpecial)
    : vocabulary.detokenize(question.tokens as Token[])
}

async function vocabularyOf(source: VocabularySource): Promise<Vocabulary> {
  const key = JSON.stringify(source)
  const reading = kept.get(key) ?? read(source)
  // Last in the map is last used.
  kept.delete(key)
  kept.set(key, reading)
  const [oldest] = kept.keys()
  if (kept.size > mostKept && oldest !== undefined) drop(oldest)
  try {
    return await reading
  } catch (error) {
    kept.delete(key)
    throw error
  }
}

function drop(key: string): void {
  const dropped = kept.get(key)
  kept.delete(key)
  dropped?.then(
    (vocabulary) => vocabulary.free(),
    // What could not be read takes nothing, and who asked for it was told.
    () => undefined,
  )
}

async function read({ modelPath, metadataOverrides }: VocabularySource) {
  const llama = await getLlama({
    // Never compile, never download: what npm brought has to do. No device is touched for a vocabulary.
    build: 'never',
    skipDownload: true,
    gpu: false,
    logLevel: LlamaLogLevel.error,
    logger: (_level, message) => process.stderr.write(`${message.trimEnd()}\n`),
  })
  const model = await llama.loadModel({
    modelPath,
    vocabOnly: true,
    gpuLayers: 0,
    ...(metadataOverrides && { metadataOverrides: nested(metadataOverrides) }),
  })
  return { ...createVocabulary(model), free: () => model.dispose() }
}
