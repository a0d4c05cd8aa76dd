import { callFailure, callJson } from './lines.ts'
import type { Server } from './server.ts'

/** One way of running a model. */
export interface Variant {
  /** In words; empty where nothing is asked for. */
  name: string
  /** `multi_gpu` of each request; the model is loaded anew for it. */
  multiGpu?: Readonly<Record<string, unknown>>
  /** The strategy that is asked for, by its short name. */
  strategy?: string
  /** Settings of the section `multi_gpu` that the server runs with meanwhile. */
  settings?: { memory: Readonly<Record<string, unknown>> }
}

export interface VariantFlags {
  multiGpu?: boolean
  strategy: readonly string[]
  gpus: readonly string[]
  tensorSize?: number
  pipelineSize?: number
  profile?: string
  kvCacheDistribution: readonly string[]
  crossGpuSharing: readonly boolean[]
}

/** Every combination of what the flags name; one that asks for nothing where they name nothing. */
export function variantsOf(flags: VariantFlags): Variant[] {
  // What several devices bring shows beside what one does.
  const strategies =
    flags.strategy.length > 0 ? flags.strategy : flags.multiGpu ? ['single', undefined] : [undefined]
  const layouts = strategies.map((strategy): Variant => {
    const own = { ...flags, ...sizesOf(strategy, flags) }
    const asked = { ...(strategy !== undefined && { strategy }), ...wishOf(own) }
    const asksNothing = Object.keys(asked).length === 0 && !flags.multiGpu
    return {
      name: [strategy ?? (flags.multiGpu ? 'as Drover chooses' : ''), ...partsOf(own)]
        .filter(Boolean)
        .join(', '),
      ...(!asksNothing && { multiGpu: asked }),
      ...(strategy !== undefined && { strategy: shortName(strategy) }),
    }
  })
  return layouts.flatMap((layout) => settingsOf(flags).map((settings) => combined(layout, settings)))
}

type Sizes = Pick<VariantFlags, 'tensorSize' | 'pipelineSize'>

/** The sizes that say something of a strategy: a model on one device has no stages, whatever the others have. */
function sizesOf(
  strategy: string | undefined,
  { tensorSize, pipelineSize }: Sizes,
): Record<keyof Sizes, number | undefined> {
  const name = strategy === undefined ? undefined : shortName(strategy)
  const alone = name === 'single' || name === 'data'
  return {
    tensorSize: alone || name === 'pipeline' ? undefined : tensorSize,
    pipelineSize: alone || name === 'tensor' ? undefined : pipelineSize,
  }
}

type Asked = Pick<VariantFlags, 'gpus' | 'profile'> & Record<keyof Sizes, number | undefined>

/** `multi_gpu` of a request, but for the strategy. */
function wishOf({ gpus, tensorSize, pipelineSize, profile }: Asked): Record<string, unknown> {
  return {
    ...(gpus.length > 0 && { gpu_selection: gpus }),
    ...(tensorSize !== undefined && { tensor_size: tensorSize }),
    ...(pipelineSize !== undefined && { pipeline_size: pipelineSize }),
    ...(profile !== undefined && { performance_profile: profile }),
  }
}

function partsOf({ gpus, tensorSize, pipelineSize, profile }: Asked): string[] {
  return [
    ...(gpus.length > 0 ? [`over ${gpus.join('+')}`] : []),
    ...(tensorSize === undefined ? [] : [`tensors over ${tensorSize}`]),
    ...(pipelineSize === undefined ? [] : [`${pipelineSize} stages`]),
    ...(profile === undefined ? [] : [`for ${profile}`]),
  ]
}

function shortName(strategy: string): string {
  return strategy
    .toLowerCase()
    .replaceAll('-', '_')
    .replace(/_(parallel|gpu)$/, '')
}

function settingsOf({
  kvCacheDistribution,
  crossGpuSharing,
}: VariantFlags): Readonly<Record<string, unknown>>[] {
  const caches = kvCacheDistribution.map((mode) => ({ kv_cache_distribution: mode }))
  const sharing = crossGpuSharing.map((on) => ({ cross_gpu_sharing: on }))
  return (caches.length > 0 ? caches : [{}]).flatMap((cache) =>
    (sharing.length > 0 ? sharing : [{}]).map((shared) => ({ ...cache, ...shared })),
  )
}

function combined(layout: Variant, memory: Readonly<Record<string, unknown>>): Variant {
  const wordOf = (value: unknown) => (typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value))
  const words = Object.entries(memory).map(([name, value]) => `${name.replaceAll('_', ' ')} ${wordOf(value)}`)
  if (words.length === 0) return layout
  return { ...layout, name: [layout.name, ...words].filter(Boolean).join(', '), settings: { memory } }
}

interface ConfigAnswer {
  multi_gpu: { memory: Readonly<Record<string, unknown>> }
  /** Whence each value is: `default`, or where it was written. */
  from: Readonly<Record<string, string>>
}

/** Runs with other settings on the server, which has its own again afterwards, whatever happened. */
export async function withSettings(
  { url }: Pick<Server, 'url'>,
  settings: Variant['settings'],
  action: () => Promise<void>,
): Promise<void> {
  if (!settings) return action()
  const path = `${url}/api/multigpu/config`
  const before = await callJson<ConfigAnswer>(path)
  // What nobody had set is to be set by nobody again.
  const memory = Object.fromEntries(
    Object.keys(settings.memory).map((name) => [
      name,
      before.from[`memory.${name}`] === 'default' ? null : before.multi_gpu.memory[name],
    ]),
  )
  await callJson(path, { method: 'PUT', body: { multi_gpu: settings } })
  const failures: unknown[] = []
  const attempt = async (what: () => Promise<unknown>, words = '') => {
    try {
      await what()
    } catch (error) {
      failures.push(words === '' ? error : new Error(`${words}: ${callFailure(error)}`))
    }
  }
  await attempt(action)
  const names = Object.keys(memory).map((name) => `multi_gpu.memory.${name}`)
  await attempt(
    () => callJson(path, { method: 'PUT', body: { multi_gpu: { memory } } }),
    `${url} could not be given ${names.join(' and ')} back, see \`drover config get\` there`,
  )
  if (failures.length > 1) throw new Error(failures.map(callFailure).join('; '))
  if (failures.length > 0) throw failures[0]
}
