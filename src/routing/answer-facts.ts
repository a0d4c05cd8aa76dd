import type { Clock } from '../core/index.ts'
import type { InferenceRequest } from '../inference/index.ts'
import type { AnswerRecord } from './contract.ts'
import type { CountedPrompts } from './counted-prompts.ts'
import type { PrefixBlocks } from './prefix/index.ts'
import type { RenderedPrompt } from './render.ts'
import { routeReport } from './route-report.ts'
import { promptBlocks, type RouteKnowledge } from './route-request.ts'
import type { Run } from './run.ts'
import type { StreamEnd } from './stream.ts'

export interface AnswerFactsParts {
  knowledge: RouteKnowledge
  countedPrompts: CountedPrompts
  /** Told of each whole answer, without any text. */
  answered?: ((record: AnswerRecord) => void) | undefined
  clock: Clock
}

/** An answer that has come to its end. */
export interface WholeAnswer {
  request: InferenceRequest
  /** Of its model. */
  key: string
  rendered: RenderedPrompt
  /** Of the prompt, as its way was decided by. */
  blocks: PrefixBlocks | undefined
  end: StreamEnd
  totalMs: number
}

/** Ends runs whose answer is whole: what it tells of the model, and what its instance's cache holds now. */
export function createAnswerFacts({ knowledge, countedPrompts, answered, clock }: AnswerFactsParts) {
  return (run: Run, answer: WholeAnswer): void => {
    const { request, key, rendered, blocks: asked, totalMs } = answer
    const { usage } = answer.end
    const said = run.transcript()
    const { tenant = '' } = request.routing ?? {}
    const isText = rendered.images.length === 0
    if (usage.promptTokens > 0 && isText) {
      knowledge.tokens.observe(key, Buffer.byteLength(rendered.text), usage.promptTokens)
    }
    const text = isText && typeof said?.prompt === 'string' ? said.prompt + said.text : undefined
    const blocks = text === undefined ? undefined : promptBlocks(text, key, tenant, knowledge)
    const { instance, policy } = routeReport(run.lease(), 0)
    // A server that renders conversations by itself counts another text.
    if (usage.promptTokens > 0 && isText && !run.lease().instance.chatOnly) {
      if (blocks) countedPrompts.counted(blocks.hashes, usage.promptTokens + usage.outputTokens)
      if (asked && said?.prompt === rendered.text) countedPrompts.counted(asked.hashes, usage.promptTokens)
    }
    answered?.({
      model: request.model,
      tenant,
      promptTokens: usage.promptTokens,
      cachedTokens: usage.cachedTokens,
      outputTokens: usage.outputTokens,
      ttftMs: totalMs - (clock.monotonicMs() - (said?.firstTokenAtMs ?? clock.monotonicMs())),
      totalMs,
      instance,
      route: policy,
      ...(asked && { blocks: asked.hashes, blockTokens: asked.blockTokens }),
    })
    run.end({
      outcome: 'answered',
      // Some answers are ended by the gateway, which then knows no more than what it has seen.
      ...(usage.promptTokens > 0 && { usage }),
      ...(blocks && { blocks }),
      ...(blocks && text !== undefined && { conversation: { prompt: text, blocks } }),
    })
  }
}
