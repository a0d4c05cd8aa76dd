import type { ShownModel } from '../api-types.ts'
import { attachmentPaths } from '../attachments.ts'
import { describeModel } from '../describe-model.ts'
import { messageOf } from '../errors.ts'
import { listModels } from '../list.ts'
import { applyModel } from '../session.ts'
import { ask } from './ask.ts'
import { generalHelp, setHelp, shortcutsHelp, showHelp } from './help.ts'
import { saveSession } from './save.ts'
import { setVariable } from './set.ts'
import type { ReplState } from './state.ts'

type Handler = (state: ReplState, words: string[]) => Promise<void> | void

const say = (text: string) => void process.stdout.write(`${text}\n`)

/** By how the command begins: as Ollama, `/listing` is `/list`. */
const handlers: [string, Handler][] = [
  ['/list', async ({ client }, words) => void process.stdout.write(await listModels(client, words[0]))],
  ['/load', load],
  ['/save', saveSession],
  ['/clear', clear],
  ['/set', setVariable],
  ['/show', show],
  ['/help', help],
  ['/?', help],
]

/** Does what a line says that begins with a slash. Throws what makes it useless to go on. */
export async function runCommand(state: ReplState, line: string): Promise<'exit' | 'stay'> {
  if (line.startsWith('/exit') || line.startsWith('/bye')) return 'exit'
  const [word = '', ...words] = line.split(/\s+/).filter((part) => part !== '')
  const handler = handlers.find(([name]) => line.startsWith(name))?.[1]
  if (handler) await handler(state, words)
  else if (state.session.multimodal && attachmentPaths(line).some((path) => path.startsWith(word))) {
    await ask(state, line)
  } else say(`Unknown command '${word}'. Type /? for help`)
  return 'stay'
}

async function load(state: ReplState, words: string[]): Promise<void> {
  const [model] = words
  if (words.length !== 1 || model === undefined) return say('Usage:\n  /load <modelname>')
  say(`Loading model '${model}'`)
  try {
    const fresh = { ...state.session, model, messages: [], system: '' }
    const session = applyModel(fresh, await state.client.post<ShownModel>('/api/show', { model }))
    await state.load(state.client, session)
    state.session = session
  } catch (error) {
    const message = messageOf(error)
    if (/not found/.test(message)) return say(`Couldn't find model '${model}'`)
    if (!/does not support thinking/.test(message)) throw error
    say(`error: ${message}`)
  }
}

function clear(state: ReplState): void {
  const { system } = state.session
  state.session = { ...state.session, messages: system === '' ? [] : [{ role: 'system', content: system }] }
  say('Cleared session context')
}

function help({ session }: ReplState, [topic = '']: string[]): void {
  const texts: Record<string, string> = {
    '': generalHelp(session.multimodal),
    set: setHelp,
    '/set': setHelp,
    show: showHelp,
    '/show': showHelp,
    shortcut: shortcutsHelp,
    shortcuts: shortcutsHelp,
  }
  process.stderr.write(texts[topic] ?? '')
}

async function show({ client, session }: ReplState, [what = '']: string[]): Promise<void> {
  if (what === '') return void process.stderr.write(showHelp)
  const { model, system, options } = session
  const shown = await client.post<ShownModel>('/api/show', {
    model,
    ...(system !== '' && { system }),
    ...(Object.keys(options).length > 0 && { options }),
  })
  switch (what) {
    case 'info':
      return void process.stderr.write(describeModel(shown, false))
    case 'license':
      return say(shown.license || 'No license was specified for this model.')
    case 'modelfile':
      return say(shown.modelfile ?? '')
    case 'parameters':
      return say(describeParameters(shown.parameters ?? '', options))
    case 'system': {
      const text = system || shown.system
      return say(text ? `${text}\n` : 'No system message was specified for this model.')
    }
    case 'template':
      return say(shown.template || 'No prompt template was specified for this model.')
    default:
      return say(`Unknown command '/show ${what}'. Type /? for help`)
  }
}

function describeParameters(defined: string, options: Record<string, unknown>): string {
  const none = 'No additional parameters were specified for this model.'
  const own = Object.entries(options).map(
    ([name, value]) => `  ${name.padEnd(30)} ${Array.isArray(value) ? `[${value.join(' ')}]` : value}`,
  )
  return [
    'Model defined parameters:',
    ...(defined || none).split('\n').map((line) => `  ${line}`),
    '',
    ...(own.length > 0 ? ['User defined parameters:', ...own, ''] : []),
  ].join('\n')
}
