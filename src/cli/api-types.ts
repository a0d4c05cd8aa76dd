import type { AnswerTimings } from './answer/timings.ts'

/** A message as the API takes and gives it; images in Base64. */
export interface ChatMessage {
  role: string
  content: string
  thinking?: string
  images?: string[]
}

export interface ToolCall {
  function: { name: string; arguments: Record<string, unknown> }
}

/** A line of `/api/generate`'s stream. */
export interface GeneratePart extends AnswerTimings {
  response?: string
  thinking?: string
  tool_calls?: ToolCall[]
  done?: boolean
}

/** A line of `/api/chat`'s stream. */
export interface ChatPart extends AnswerTimings {
  message?: { role: string; content?: string; thinking?: string; tool_calls?: ToolCall[] }
  done?: boolean
}

/** What `/api/show` says of a model. */
export interface ShownModel {
  license?: string
  modelfile?: string
  parameters?: string
  template?: string
  system?: string
  requires?: string
  details: {
    parent_model?: string
    family: string
    parameter_size: string
    quantization_level: string
  }
  messages?: ChatMessage[]
  remote_model?: string
  remote_host?: string
  model_info?: Record<string, unknown>
  projector_info?: Record<string, unknown>
  tensors?: { name: string; type: string; shape: number[] }[]
  capabilities?: string[]
}
