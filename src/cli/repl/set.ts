import type { ShownModel } from '../api-types.ts'
import { messageOf } from '../errors.ts'
import type { Think } from '../think.ts'
import { parametersHelp, setHelp } from './help.ts'
import type { ReplState } from './state.ts'

type Setter = (state: ReplState, words: string[]) => Promise<void> | void

const say = (text: string) => void process.stdout.write(`${text}\n`)

const setters: Record<string, Setter> = {
  history: ({ history }) => {
    history.enabled = true
  },
  nohistory: ({ history }) => {
    history.enabled = false
  },
  wordwrap: (state) => setMode(state, { wordWrap: true }, 'wordwrap'),
  nowordwrap: (state) => setMode(state, { wordWrap: false }, 'nowordwrap'),
  verbose: (state) => setMode(state, { verbose: true }, 'verbose'),
  quiet: (state) => setMode(state, { verbose: false }, 'quiet'),
  think: async (state, [level = '']) => {
    await setThink(state, level || true)
    say(level === '' ? "Set 'think' mode." : `Set 'think' mode to '${level}'.`)
  },
  nothink: async (state) => {
    await setThink(state, false)
    say("Set 'nothink' mode.")
  },
  format: (state, [format]) => {
    if (format !== 'json') return say("Invalid or missing format. For 'json' mode use '/set format json'")
    state.session = { ...state.session, format }
    say(`Set format to '${format}' mode.`)
  },
  noformat: (state) => {
    const { format: _, ...rest } = state.session
    state.session = rest
    say('Disabled format.')
  },
  parameter: setParameter,
  // With a text it never comes here: the text may go over several lines.
  system: () => void process.stderr.write(setHelp),
}

/** `/set <variable> ...`. */
export async function setVariable(state: ReplState, [name = '', ...words]: string[]): Promise<void> {
  if (name === '') return void process.stderr.write(setHelp)
  const setter = Object.hasOwn(setters, name) ? setters[name] : undefined
  if (setter) await setter(state, words)
  else say(`Unknown command '/set ${name}'. Type /? for help`)
}

function setMode(state: ReplState, change: Partial<ReplState['session']>, name: string): void {
  state.session = { ...state.session, ...change }
  say(`Set '${name}' mode.`)
}

async function setThink(state: ReplState, think: Think): Promise<void> {
  const { client, session } = state
  state.session = { ...session, think, thinkChosen: true }
  const { capabilities = [] } = await client.post<ShownModel>('/api/show', { model: session.model })
  if (capabilities.includes('thinking')) return
  process.stderr.write(`warning: model "${session.model}" does not support thinking output\n`)
}

async function setParameter(state: ReplState, words: string[]): Promise<void> {
  const [name = '', ...values] = words
  if (values.length === 0) return void process.stderr.write(parametersHelp)
  const { readModelfileParameters } = await import('../../models/index.ts')
  try {
    const { options } = readModelfileParameters(values.map((value) => [name, value]))
    state.session = { ...state.session, options: { ...state.session.options, ...options } }
    say(`Set parameter '${name}' to '${values.join(', ')}'`)
  } catch (error) {
    say(`Couldn't set parameter: ${JSON.stringify(messageOf(error))}`)
  }
}
