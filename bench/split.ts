/**
 * One model laid out in all ways that llama.cpp has: on one device, as a pipeline, as tensors, on the CPU, and over RPC
 * workers, reached as they are and by Drover's tunnels. The devices are software GPUs (Mesa's llvmpipe, which Vulkan
 * lists as often as it is asked to), so that it runs anywhere: the texts have to be the same, and the memory has to lie
 * where it was put; the speed says something for RPC only. Puts a llama.cpp with Vulkan and Mesa, 420 MB, into the test
 * cache.
 *
 *   node bench/split.ts [--tokens 60] [--rounds 3] [--rpc-only]
 */
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  createLlamaCppEngine,
  createRpcNode,
  ensureTunnelKey,
  type InstanceSpec,
} from '../src/engines/index.ts'
import { findRpcProgram } from '../src/engines/llamacpp/rpc/program.ts'
import { startRpcWorker } from '../src/engines/llamacpp/rpc/worker.ts'
import { asked, specOf } from '../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../test/support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../test/support/llama-server.ts'
import { machineLine } from './support/process.ts'
import { scratchFolder } from './support/servers.ts'
import { useSoftwareGpus } from './support/software-gpus.ts'
import { median, printTable } from './support/stats.ts'

const { values: flags } = parseArgs({
  options: {
    tokens: { type: 'string', default: '60' },
    rounds: { type: 'string', default: '3' },
    'rpc-only': { type: 'boolean', default: false },
  },
})

const modelPath = join(import.meta.dirname, '../assets/drover-tiny.gguf')
const folder = scratchFolder()
const keyFile = join(folder, 'key')
const prompts = ['What is the capital of France?', 'What is 3 plus 4?', 'Who wrote Hamlet?'].map(asked)
const base: Partial<InstanceSpec> = { slots: 1, contextLength: 1024, flashAttention: 'on', gpuLayers: 'auto' }

const rows: (string | number)[][] = []
let expected: string[] | undefined

const serverPath = await ensureLlamaServer()
await layout('CPU', serverPath, { gpuLayers: 0 })
await overRpc()
if (!flags['rpc-only']) await onSoftwareGpus()

console.log(`${machineLine()}; one thread, median of ${flags.rounds} rounds\n`)
printTable([['layout', 'tokens/s', 'ms a token', 'text', 'memory, MiB'], ...rows])
process.exit()

/** Loads the bundled model as the spec says, and answers with it. */
async function layout(
  name: string,
  path: string,
  changes: Partial<InstanceSpec>,
  keyed = false,
): Promise<void> {
  const differences: string[] = []
  const engine = createLlamaCppEngine({
    serverPath: path,
    enginesDir: testEnginesDir,
    runDir: join(folder, 'run'),
    ...(keyed && { rpcKeyFile: keyFile }),
    log: (message) => differences.push(message),
  })
  try {
    const instance = await engine.launch(specOf(modelPath, { ...base, ...changes }), never)
    const rates: number[] = []
    let texts: string[] = []
    for (let round = 0; round <= Number(flags.rounds); round++) {
      texts = []
      for (const prompt of prompts) {
        const { text, done } = await answerOf(instance, { prompt, maxTokens: Number(flags.tokens) })
        texts.push(text)
        // The first round warms up.
        if (round > 0) rates.push(((done.usage.outputTokens - 1) * 1000) / done.usage.outputMs)
      }
    }
    const memory = instance.memory.devices
      ?.map(({ name: device, modelBytes, kvCacheBytes, computeBytes }) =>
        [
          device,
          ...[modelBytes, kvCacheBytes, computeBytes].map((bytes) => (bytes / 2 ** 20).toFixed(1)),
        ].join(' '),
      )
      .join('; ')
    await instance.close()
    expected ??= texts
    const same = texts.every((text, index) => text === expected?.[index])
    if (!same || differences.some((line) => line.includes('not as planned'))) process.exitCode = 1
    rows.push([name, median(rates), 1000 / median(rates), same ? 'same' : 'OTHER', memory ?? ''])
    for (const line of differences) console.log(`${name}: ${line}`)
  } catch (error) {
    rows.push([name, '', '', 'refused', error instanceof Error ? error.message.slice(-90) : String(error)])
  }
}

async function overRpc(): Promise<void> {
  const program = await findRpcProgram({ serverPath, enginesDir: testEnginesDir })
  const over = (count: number) => ({
    mode: 'layer' as const,
    devices: ['RPC0', 'RPC1'].slice(0, count),
    weights: count === 1 ? [5] : [3, 2],
  })
  const workers = [
    await startRpcWorker(program, { threads: 1 }),
    await startRpcWorker(program, { threads: 1 }),
  ]
  const ports = workers.map(({ port }) => `127.0.0.1:${port}`)
  for (const count of [1, 2]) {
    await layout(`${count} x RPC, as they are`, serverPath, {
      rpcWorkers: ports.slice(0, count),
      split: over(count),
    })
  }
  for (const worker of workers) await worker.close()

  const { key } = await ensureTunnelKey(keyFile)
  const nodes = []
  for (const listen of ['127.0.0.2:0', '127.0.0.3:0']) {
    const log = () => undefined
    nodes.push(await createRpcNode({ listen, key, serverPath, enginesDir: testEnginesDir, threads: 1, log }))
  }
  const addresses = nodes.map(({ address }) => address)
  for (const count of [1, 2]) {
    const changes = { rpcWorkers: addresses.slice(0, count), split: over(count) }
    await layout(`${count} x RPC, by tunnels`, serverPath, changes, true)
  }
  for (const node of nodes) await node.close()
}

async function onSoftwareGpus(): Promise<void> {
  const path = await useSoftwareGpus(2)
  const devices = ['Vulkan0', 'Vulkan1']
  await layout('one GPU', path, { split: { mode: 'none', devices: devices.slice(0, 1), weights: [5] } })
  await layout('layer', path, { split: { mode: 'layer', devices, weights: [3, 2] } })
  await layout('layer, 2 on the host', path, { split: { mode: 'layer', devices, weights: [2, 1] } })
  await layout('tensor', path, { split: { mode: 'tensor', devices, weights: [1, 1] } })
  await layout('row', path, { split: { mode: 'row', devices, weights: [1, 1] } })
}
