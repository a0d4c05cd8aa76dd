import { homedir } from 'node:os'
import { join } from 'node:path'
import { createAnswerPrinter } from '../answer/printer.ts'
import type { Client } from '../client.ts'
import { messageOf } from '../errors.ts'
import { createProgress } from '../progress/display.ts'
import { loadModel, type Session } from '../session.ts'
import { editExternally } from '../terminal/external-editor.ts'
import { openHistory } from '../terminal/history.ts'
import { createLineEditor, type Entered, type LineEditor } from '../terminal/line-editor.ts'
import { ask } from './ask.ts'
import { runCommand } from './commands.ts'
import type { ReplState } from './state.ts'

/** Loads the model, shows what was said before, and talks until the person leaves. */
export async function startRepl(client: Client, session: Session): Promise<void> {
  await loadWithSpinner(client, session)
  showLoaded(session)
  const warn = (text: string) => void process.stderr.write(`warning: ${text}\n`)
  const history = openHistory(join(homedir(), '.ollama', 'history'), warn)
  history.enabled = !isSet(process.env.OLLAMA_NOHISTORY)
  const editor = createLineEditor(history)
  try {
    await talk({ client, session, history, load: loadWithSpinner }, editor)
  } finally {
    editor.close()
  }
}

/** A switch of Ollama's: anything counts as on that is not clearly off. */
function isSet(value = ''): boolean {
  return !['', '0', 'f', 'F', 'false', 'FALSE', 'False'].includes(value.trim())
}

async function loadWithSpinner(client: Client, session: Session): Promise<void> {
  const spinner = createProgress()
  spinner.status('')
  try {
    await loadModel(client, session)
  } finally {
    spinner.clear()
  }
}

function showLoaded(session: Session): void {
  for (const { role, content } of session.loadedMessages) {
    if (role === 'user') process.stdout.write(`>>> ${content}\n`)
    if (role !== 'assistant') continue
    createAnswerPrinter(session).print({ content })
    process.stdout.write('\n\n')
  }
}

/** Reads texts and does what they say, until the end. */
async function talk(state: ReplState, editor: LineEditor): Promise<void> {
  let prefill = ''
  let multiline: Multiline | undefined
  for (;;) {
    const entered = await editor.read({ continues: multiline !== undefined, prefill })
    prefill = ''
    if (entered.how === 'end') return
    if (entered.how === 'interrupt') {
      multiline = undefined
      if (entered.text === '') process.stdout.write('Use Ctrl + d or /bye to exit.\n')
      continue
    }
    if (entered.how === 'editor') {
      multiline = undefined
      prefill = await compose(entered.text)
      continue
    }
    const next = take(entered, multiline)
    multiline = next.multiline
    if (next.system !== undefined) setSystem(state, next.system)
    if (next.command !== undefined && (await runCommand(state, next.command)) === 'exit') return
    if (next.message !== undefined && next.message !== '') await ask(state, next.message)
  }
}

/** A text between three quotes whose end is still to come. */
interface Multiline {
  text: string
  for: 'message' | 'system'
}

/** What an entered text is: a message, a system message, a command, or a part of one. */
interface Taken {
  multiline?: Multiline
  message?: string
  system?: string
  command?: string
}

const quotes = '"""'

/** Sorts an entered text out, by Ollama's rules. */
export function take(
  { text, pasted }: Pick<Entered & { how: 'line' }, 'text' | 'pasted'>,
  open?: Multiline,
): Taken {
  if (open) {
    if (!text.endsWith(quotes)) return { multiline: { ...open, text: `${open.text}${text}\n` } }
    const whole = open.text + text.slice(0, -quotes.length)
    return open.for === 'system' ? { system: whole } : { message: whole }
  }
  if (text.startsWith(quotes)) {
    const rest = text.slice(quotes.length)
    if (rest.endsWith(quotes)) return { message: rest.slice(0, -quotes.length) }
    return { multiline: { text: `${rest}\n`, for: 'message' } }
  }
  const system = /^\/set\s+system\s+(\S[\s\S]*)$/.exec(text)?.[1]
  if (system !== undefined && !pasted) {
    if (!system.startsWith(quotes)) return { system }
    const rest = system.slice(quotes.length)
    if (rest.endsWith(quotes)) return { system: rest.slice(0, -quotes.length) }
    return { multiline: { text: `${rest}\n`, for: 'system' } }
  }
  return text.startsWith('/') && !pasted ? { command: text } : { message: text }
}

function setSystem(state: ReplState, content: string): void {
  const { messages } = state.session
  // Of two system messages in a row the later one counts.
  const before = messages.at(-1)?.role === 'system' ? messages.slice(0, -1) : messages
  state.session = { ...state.session, system: content, messages: [...before, { role: 'system', content }] }
  process.stdout.write('Set system message.\n')
}

/** The text as it comes out of the person's editor; empty when that failed, which is told. */
async function compose(text: string): Promise<string> {
  try {
    const written = await editExternally(text)
    return written.trim() === '' ? '' : written
  } catch (error) {
    process.stderr.write(`error: ${messageOf(error)}\n`)
    return ''
  }
}
