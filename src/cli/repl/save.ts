import { messageOf } from '../errors.ts'
import type { Session } from '../session.ts'
import type { ReplState } from './state.ts'

/** `/save <model>`: makes a model of the session, its settings and what was said. */
export async function saveSession({ client, session }: ReplState, words: string[]): Promise<void> {
  const [model] = words
  if (words.length !== 1 || model === undefined) {
    return void process.stdout.write('Usage:\n  /save <modelname>\n')
  }
  try {
    for await (const _ of client.stream('/api/create', await createRequest(model, session)));
    process.stdout.write(`Created new model '${model}'\n`)
  } catch (error) {
    if (!/invalid model name/.test(messageOf(error))) throw error
    process.stdout.write(`error: The model name '${model}' is invalid\n`)
  }
}

async function createRequest(model: string, session: Session): Promise<object> {
  const { system, options, loadedMessages, messages } = session
  const all = [...loadedMessages, ...messages]
  return {
    model,
    from: await originOf(session),
    ...(system !== '' && { system }),
    ...(Object.keys(options).length > 0 && { parameters: options }),
    ...(all.length > 0 && { messages: all }),
  }
}

/** The model that this one was made from, when the server named one, so that a saved session is no chain of models. */
async function originOf({ model, parentModel }: Session): Promise<string> {
  const { parseModelName } = await import('../../models/index.ts')
  try {
    if (parentModel !== '') parseModelName(parentModel)
    return parentModel || model
  } catch {
    // A path, as old manifests have it.
    return model
  }
}
