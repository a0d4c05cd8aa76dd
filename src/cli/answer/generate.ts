import type { GeneratePart } from '../api-types.ts'
import { attachFiles } from '../attachments.ts'
import type { Client } from '../client.ts'
import { interruptible } from '../interrupt.ts'
import { createProgress } from '../progress/display.ts'
import { requestFields, type Session } from '../session.ts'
import { createAnswerPrinter } from './printer.ts'
import { formatTimings } from './timings.ts'

/** Asks once and prints the answer as it comes. Without a prompt the model is only loaded. */
export async function generate(client: Client, session: Session, prompt: string): Promise<void> {
  const tell = (line: string) => void process.stderr.write(`${line}\n`)
  const { text, images } = session.multimodal ? await attachFiles(prompt, tell) : { text: prompt, images: [] }
  const reader = new AbortController()
  // Nobody reads the answer any more: the model need not go on.
  process.stdout.once('error', () => reader.abort())
  const spinner = createProgress()
  const printer = createAnswerPrinter(session)
  spinner.status('')
  const body = { ...requestFields(session), prompt: text, ...(images.length > 0 && { images }) }
  const last = await interruptible(async (signal) => {
    let latest: GeneratePart = {}
    for await (const part of client.stream<GeneratePart>('/api/generate', body, signal)) {
      latest = part
      if (part.response || !session.hideThinking) spinner.clear()
      printer.print({ thinking: part.thinking, content: part.response, toolCalls: part.tool_calls })
    }
    return latest
  }, reader.signal).finally(() => {
    spinner.clear()
    printer.end()
  })
  if (reader.signal.aborted || !last) return
  if (prompt !== '') process.stdout.write('\n\n')
  if (session.verbose && last.done) process.stderr.write(formatTimings(last))
}
