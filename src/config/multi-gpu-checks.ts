import { type Layer, rowOf } from './layer.ts'
import type { SettingName, Values } from './settings.ts'

const pooled = ['tensor', 'pipeline', 'hybrid'] as const
const gpuOnlyBackends = ['vllm', 'sglang', 'exllama'] as const
const backends = [
  'multiGpu.backends.primary',
  'multiGpu.backends.fallback',
  'multiGpu.backends.legacy',
] as const

/** Settings that are right by themselves, and wrong beside each other: a sentence each. */
export function contradictions(values: Values, origins: Layer): string[] {
  const place = (name: SettingName) => origins[name]?.place ?? rowOf(name).key
  const problems: string[] = []
  const strategy = values['multiGpu.strategy']
  if (!values['multiGpu.memory.pooling'] && pooled.some((one) => one === strategy)) {
    problems.push(
      `${place('multiGpu.memory.pooling')}: false keeps each model on one device, and ${place('multiGpu.strategy')} says ` +
        `"${strategy}": take "single" or "data", or pool`,
    )
  }
  const unable = backends.find((name) => gpuOnlyBackends.some((one) => one === values[name]))
  if (values['multiGpu.tensorParallel.communication'] === 'gloo' && unable) {
    problems.push(
      `${place('multiGpu.tensorParallel.communication')}: "gloo" is not allowed with ${place(unable)} "${values[unable]}", ` +
        'which takes it among CPUs only: take nccl (NVIDIA) or rccl (AMD)',
    )
  }
  for (const [at, name] of backends.entries()) {
    const twice = backends
      .slice(0, at)
      .find((other) => values[name] !== undefined && values[other] === values[name])
    if (twice)
      problems.push(`${place(name)}: "${values[name]}" is ${place(twice)} already: take another, or none`)
  }
  const balancing = values['multiGpu.dataParallel.loadBalancing']
  if (balancing !== undefined && origins.policy && values.policy !== balancing) {
    problems.push(
      `${place('multiGpu.dataParallel.loadBalancing')}: "${balancing}" and ${place('policy')}: "${values.policy}" ` +
        'say the same thing in two ways: leave one of them out',
    )
  }
  return problems
}
