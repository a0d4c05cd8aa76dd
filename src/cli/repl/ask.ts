import { createAnswerPrinter } from '../answer/printer.ts'
import { formatTimings } from '../answer/timings.ts'
import type { ChatMessage, ChatPart } from '../api-types.ts'
import { attachFiles } from '../attachments.ts'
import { messageOf } from '../errors.ts'
import { interruptible } from '../interrupt.ts'
import { createProgress } from '../progress/display.ts'
import { requestFields, type Session } from '../session.ts'
import type { ReplState } from './state.ts'

/** Errors after which the person can go on, having changed a setting. */
const mendable = /does not support thinking|invalid think value/

/** Asks the model and prints its answer, which Ctrl-C stops. Throws what makes it useless to go on. */
export async function ask(state: ReplState, text: string): Promise<void> {
  const message = await messageFrom(text, state.session)
  if (!message) return
  state.session = { ...state.session, messages: [...state.session.messages, message] }
  try {
    const answer = await streamAnswer(state)
    if (answer) state.session = { ...state.session, messages: [...state.session.messages, answer] }
  } catch (error) {
    if (!mendable.test(messageOf(error))) throw error
    process.stdout.write(`error: ${messageOf(error)}\n`)
  }
}

async function messageFrom(text: string, { multimodal }: Session): Promise<ChatMessage | undefined> {
  if (!multimodal) return { role: 'user', content: text }
  try {
    const tell = (line: string) => void process.stderr.write(`${line}\n`)
    const { text: content, images } = await attachFiles(text, tell)
    return { role: 'user', content, ...(images.length > 0 && { images }) }
  } catch (error) {
    process.stderr.write(`Couldn't process image: ${JSON.stringify(messageOf(error))}\n`)
    return undefined
  }
}

async function streamAnswer({ client, session }: ReplState): Promise<ChatMessage | undefined> {
  const spinner = createProgress()
  const printer = createAnswerPrinter(session)
  spinner.status('')
  const answer = { content: '', thinking: '', last: {} as ChatPart }
  const body = { ...requestFields(session), messages: session.messages }
  const ended = await interruptible(async (signal) => {
    for await (const part of client.stream<ChatPart>('/api/chat', body, signal)) {
      const { content = '', thinking = '', tool_calls } = part.message ?? {}
      if (content !== '' || !session.hideThinking) spinner.clear()
      printer.print({ thinking, content, toolCalls: tool_calls })
      answer.content += content
      answer.thinking += thinking
      answer.last = part
    }
    return true
  }).finally(() => {
    spinner.clear()
    printer.end()
  })
  process.stdout.write('\n\n')
  if (!ended) return undefined
  if (session.verbose) process.stderr.write(formatTimings(answer.last))
  const { content, thinking } = answer
  return { role: 'assistant', content, ...(thinking !== '' && { thinking }) }
}
