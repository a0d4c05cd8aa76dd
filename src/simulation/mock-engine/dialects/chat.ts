import { z } from 'zod'

/** Messages as OpenAI and Ollama write them; what is not text is told by its kind. */
export const messagesSchema = z.array(
  z.looseObject({
    role: z.string(),
    content: z
      .union([
        z.string(),
        z.array(z.looseObject({ type: z.string().optional(), text: z.string().optional() })),
      ])
      .nullish(),
    tool_calls: z.array(z.unknown()).nullish(),
  }),
)

type Messages = z.infer<typeof messagesSchema>

/** The mock model's template, as `/props` and `/api/show` tell it (ChatML). */
export const chatTemplate =
  "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}" +
  "{% endfor %}{{ '<|im_start|>assistant\\n' }}"

/** One prompt from messages. A last message of the assistant is left open, to be gone on with. */
export function renderChat(messages: Messages): string {
  const turns = messages.map((message) => `<|im_start|>${message.role}\n${textOf(message)}`)
  const open = messages.at(-1)?.role === 'assistant'
  return (
    turns.join('<|im_end|>\n') +
    (open ? '' : `${turns.length > 0 ? '<|im_end|>\n' : ''}<|im_start|>assistant\n`)
  )
}

function textOf({ content, tool_calls: calls }: Messages[number]): string {
  const text =
    typeof content === 'string'
      ? content
      : (content ?? []).map((part) => part.text ?? `[${part.type ?? 'part'}]`).join('')
  return calls?.length ? text + JSON.stringify(calls) : text
}
