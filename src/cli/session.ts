import type { ChatMessage, ShownModel } from './api-types.ts'
import type { Client } from './client.ts'
import type { Think } from './think.ts'

/** What is asked of a model, and how: by the flags of `run`, and changed at the prompt. */
export interface Session {
  model: string
  /** The model that this one was made from, as the server names it. */
  parentModel: string
  /** Messages that come with the model. */
  loadedMessages: ChatMessage[]
  messages: ChatMessage[]
  system: string
  options: Record<string, unknown>
  /** `"json"` or a schema, as the API takes it. */
  format?: unknown
  think?: Think
  /** `think` is what a person chose, and not what the model can. */
  thinkChosen: boolean
  keepAlive?: string
  /** The model takes images or sound. */
  multimodal: boolean
  wordWrap: boolean
  verbose: boolean
  hideThinking: boolean
}

/** Takes over what the server says of the session's model. */
export function applyModel(session: Session, shown: ShownModel): Session {
  const capabilities = shown.capabilities ?? []
  const { think, ...rest } = session
  const thinks = session.thinkChosen ? think : capabilities.includes('thinking') ? true : undefined
  const vision = Object.keys(shown.model_info ?? {}).some((key) => key.includes('.vision.'))
  return {
    ...rest,
    ...(thinks !== undefined && { think: thinks }),
    parentModel: shown.details.parent_model ?? '',
    loadedMessages: shown.messages ?? [],
    system: session.system.trim() === '' ? (shown.system ?? '') : session.system,
    multimodal:
      capabilities.includes('vision') ||
      capabilities.includes('audio') ||
      Object.keys(shown.projector_info ?? {}).length > 0 ||
      vision,
  }
}

/** The fields that every request of a session has. */
export function requestFields({ model, format, think, keepAlive, options }: Session): object {
  return {
    model,
    ...(format !== undefined && { format }),
    ...(think !== undefined && { think }),
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    ...(Object.keys(options).length > 0 && { options }),
  }
}

/** Has the server load the session's model. */
export async function loadModel(client: Client, session: Session): Promise<void> {
  const { model, think, keepAlive } = session
  const body = {
    model,
    ...(keepAlive !== undefined && { keep_alive: keepAlive }),
    // What the model cannot do is said before the first question is typed.
    ...(think !== undefined && { think }),
  }
  for await (const _ of client.stream('/api/generate', body));
}

/** Has the server unload a model. */
export async function unloadModel(client: Client, model: string): Promise<void> {
  await client.post('/api/generate', { model, keep_alive: 0, stream: false })
}
