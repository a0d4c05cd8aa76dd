import {
  DroverError,
  type InferenceRequest,
  type ModelOptions,
  type RoutingWishes,
} from '../inference/index.ts'
import type { DispatchRequest } from './dispatch/index.ts'
import type { RequestTraits } from './lifecycle/index.ts'
import { type Needs, type PolicyName, policyNames } from './policy/index.ts'
import type { Predictor } from './prediction/index.ts'
import { type PrefixBlocks, textBlocks } from './prefix/index.ts'
import type { Standing } from './run.ts'
import type { TokenEstimate } from './token-estimate.ts'

/** Bytes of a block of text: about 64 tokens, few enough that a shared system prompt is told from another. */
export const blockBytes = 256
/** For instances whose cache is counted in such blocks. */
export const usualBlockTokens = 64

/** What routing has learnt that a request is judged by. */
export interface RouteKnowledge {
  tokens: TokenEstimate
  predictor: Predictor
  /** Goes into every hash: who does not know it cannot ask what others have asked. */
  salt: string
}

/** The blocks of a prompt, by which its cache is found; nobody finds those of another tenant or model. */
export function promptBlocks(
  text: string,
  key: string,
  tenant: string,
  { tokens, salt }: RouteKnowledge,
): PrefixBlocks {
  return textBlocks(text, {
    salt: JSON.stringify([salt, key, tenant]),
    blockBytes,
    bytesPerToken: tokens.bytesPerToken(key),
  })
}

/** What decides where and when a request is served. Throws `invalid_request` for a policy that there is not. */
export function routeOf(
  request: InferenceRequest,
  prompt: string | undefined,
  key: string,
  options: ModelOptions,
  knowledge: RouteKnowledge,
  nowMs: number,
): Pick<RequestTraits, 'priority' | 'route'> {
  const wishes = request.routing ?? {}
  const { tenant = '' } = wishes
  const blocks = prompt === undefined ? undefined : promptBlocks(prompt, key, tenant, knowledge)
  const promptTokens = blocks?.promptTokens ?? 0
  const maxTokens = options.num_predict
  const shape: DispatchRequest['shape'] = {
    model: key,
    tenant,
    kind: request.kind,
    promptTokens,
    tools: request.kind === 'chat' && (request.tools?.length ?? 0) > 0,
    format: request.format !== undefined,
    thinking: Boolean(request.think),
    ...(maxTokens !== undefined && maxTokens > 0 && { maxTokens }),
  }
  const outputTokens = knowledge.predictor.outputTokens(shape)
  return traitsOf(wishes, { promptTokens, outputTokens, shape, ...(blocks && { blocks }) }, nowMs)
}

/** The same for texts to embed, of which nothing is cached and nothing is generated. */
export function embedRouteOf(
  wishes: RoutingWishes,
  inputs: readonly string[],
  key: string,
  { tokens }: RouteKnowledge,
  nowMs: number,
): Pick<RequestTraits, 'priority' | 'route'> {
  const bytes = inputs.reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  const promptTokens = Math.ceil(bytes / tokens.bytesPerToken(key))
  const { tenant = '' } = wishes
  const shape = {
    model: key,
    tenant,
    kind: 'generate' as const,
    promptTokens,
    tools: false,
    format: false,
    thinking: false,
  }
  return traitsOf(wishes, { promptTokens, outputTokens: 0, shape }, nowMs)
}

function traitsOf(
  wishes: RoutingWishes,
  work: Pick<DispatchRequest, 'promptTokens' | 'outputTokens' | 'shape' | 'blocks'>,
  nowMs: number,
): Pick<RequestTraits, 'priority' | 'route'> {
  const { tenant = '', priority, session, deadlineInMs, policy } = wishes
  const needs = needsOf(wishes)
  return {
    ...(priority !== undefined && { priority }),
    route: {
      ...work,
      tenant,
      ...(session !== undefined && { session }),
      ...(deadlineInMs !== undefined && { deadlineMs: nowMs + deadlineInMs }),
      ...(needs && { needs }),
      ...(policy !== undefined && { policy: policyNamed(policy) }),
    },
  }
}

/** The traits of a request that asks for a slot, perhaps not for the first time. */
export function traitsNow(
  { route, ...traits }: RequestTraits,
  avoid: ReadonlySet<number>,
  { returns, spoke }: Pick<Standing, 'returns' | 'spoke'>,
): RequestTraits {
  return {
    ...traits,
    ...(route && { route: spoke ? withoutDeadline(route) : route }),
    avoid: traits.avoid ? new Set([...avoid, ...traits.avoid]) : avoid,
    returns,
  }
}

function withoutDeadline({ deadlineMs: _, ...route }: Route): Route {
  return route
}

type Route = NonNullable<RequestTraits['route']>

function needsOf({
  pins,
  labels,
  precision,
  maxWatts,
  maxCostPerMillionTokens,
}: RoutingWishes): Needs | undefined {
  const needs: Needs = {
    ...(pins && { pins }),
    ...(labels && { labels }),
    ...(precision && { precision }),
    ...(maxWatts !== undefined && { maxWatts }),
    ...(maxCostPerMillionTokens !== undefined && { maxCostPerMillionTokens }),
  }
  return Object.keys(needs).length > 0 ? needs : undefined
}

/** Throws `invalid_request` where there is no such policy. */
export function policyNamed(name: string): PolicyName {
  const found = policyNames.find((one) => one === name)
  if (found) return found
  throw new DroverError('invalid_request', `unknown policy "${name}": there are ${policyNames.join(', ')}`)
}
