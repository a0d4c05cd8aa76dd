import { Template } from '@huggingface/jinja'
import { getLlama, type LlamaContextSequence, type LlamaModel, type Token } from 'node-llama-cpp'

/** A chat message, as the model's own template takes it. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  readonly tool_calls?: readonly {
    readonly function: { readonly name: string; readonly arguments: object }
  }[]
}

/** The model under evaluation: prompts rendered by its own template, answers at temperature 0. */
export interface Subject {
  /** Answers a chat; `tools` are declarations in the chat APIs' form. */
  chat(
    messages: readonly ChatMessage[],
    options: { thinks: boolean; tools?: readonly object[] },
  ): Promise<string>
  /** Continues a raw prompt. */
  complete(prompt: string): Promise<string>
  /** The tokens of a text, special tokens read as such. */
  tokens(text: string): number[]
  close(): Promise<void>
}

async function generate(
  model: LlamaModel,
  sequence: LlamaContextSequence,
  prompt: string,
  limit: number,
): Promise<string> {
  await sequence.clearHistory()
  const written: Token[] = []
  for await (const token of sequence.evaluate(model.tokenize(prompt, true), { temperature: 0 })) {
    if (model.isEogToken(token) || written.length === limit) break
    written.push(token)
  }
  return model.detokenize(written, true)
}

/** Loads a GGUF on one CPU thread with the chat template it carries. */
export async function loadSubject(modelPath: string): Promise<Subject> {
  const llama = await getLlama({ build: 'never', skipDownload: true, gpu: false, maxThreads: 1 })
  const model = await llama.loadModel({ modelPath })
  const context = await model.createContext({ contextSize: 2048 })
  const sequence = context.getSequence()
  const template = new Template(model.fileInfo.metadata.tokenizer.chat_template ?? '')
  const complete = (prompt: string): Promise<string> => generate(model, sequence, prompt, 400)
  return {
    chat: (messages, { thinks, tools }) =>
      complete(
        template.render({
          messages,
          tools: tools ?? null,
          enable_thinking: thinks,
          add_generation_prompt: true,
        }),
      ),
    complete,
    tokens: (text) => model.tokenize(text, true),
    close: () => llama.dispose(),
  }
}

/** Splits an answer into what it thought and what it said; no thought when it did not open one. */
export function splitThinking(answer: string): { thinking: string | undefined; content: string } {
  const match = /^<think>\n(.*?)\n<\/think>\n\n/s.exec(answer)
  if (!match) return { thinking: undefined, content: answer }
  return { thinking: match[1] ?? '', content: answer.slice(match[0].length) }
}

/** The tool call in an answer, or undefined when there is none or its JSON is broken. */
export function parseToolCall(
  content: string,
): { name: string; arguments: Record<string, unknown> } | undefined {
  const match = /^<tool_call>\n(.*)\n<\/tool_call>$/s.exec(content)
  if (!match) return undefined
  try {
    return JSON.parse(match[1] ?? '')
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
