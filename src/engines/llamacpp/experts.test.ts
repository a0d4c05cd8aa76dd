import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { specOf } from '../../../test/support/engine-contract/bench.ts'
import { answerOf, never } from '../../../test/support/llama-bench.ts'
import { ensureLlamaServer, testEnginesDir } from '../../../test/support/llama-server.ts'
import { writeSyntheticGguf } from '../../../tools/synthetic.ts'
import { readGguf } from '../../models/index.ts'
import { createLlamaCppEngine } from './index.ts'
import { findRpcProgram } from './rpc/program.ts'
import { startRpcWorker } from './rpc/worker.ts'

/*
 * A mixture of experts on a device, with experts in the host's memory. The device is a real RPC worker that computes on
 * this machine's CPU: to llama-server it is a device like others, with buffers of its own.
 */

let folder = ''
let modelPath = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'drover-experts-'))
  modelPath = join(folder, 'model.gguf')
  await writeSyntheticGguf(modelPath, {
    ...{ architecture: 'qwen3', experts: 8, type: 'F16', endless: true },
    ...{ layers: 6, dim: 256, heads: 4, kvHeads: 2, headDim: 64, ffn: 256, vocab: 2048, context: 512 },
  })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

it('lie in host memory as the spec says, of the first layers and of others, and the text stays the same', async () => {
  const serverPath = await ensureLlamaServer()
  const worker = await startRpcWorker(await findRpcProgram({ serverPath, enginesDir: testEnginesDir }), {
    threads: 1,
  })
  const differences: string[] = []
  const engine = createLlamaCppEngine({
    serverPath,
    enginesDir: testEnginesDir,
    runDir: join(folder, 'run'),
    log: (message) => differences.push(message),
  })
  const answer = async (hostExperts: number[]) => {
    const spec = specOf(modelPath, {
      ...{ slots: 1, flashAttention: 'on', gpuLayers: 7, stallTimeoutMs: 120_000 },
      rpcWorkers: [`127.0.0.1:${worker.port}`],
      split: { mode: 'none', devices: ['RPC0'], weights: [7] },
      hostExperts,
    })
    const instance = await engine.launch(spec, never)
    const { text } = await answerOf(instance, { prompt: 'the sheep and the wolf', maxTokens: 16 })
    const device = instance.memory.devices?.find(({ host }) => !host)
    await instance.close()
    return { text, weightsBytes: device?.modelBytes ?? 0 }
  }
  try {
    const whole = await answer([])
    const { layers = [] } = (await readGguf(modelPath)).shape
    // The second is told by layers' names: they are not the first ones.
    for (const hostExperts of [
      [0, 1, 2],
      [1, 3],
    ]) {
      const { text, weightsBytes } = await answer(hostExperts)
      const away = hostExperts.reduce((sum, layer) => sum + (layers[layer]?.expertBytes ?? 0), 0)
      expect(text).toBe(whole.text)
      // The log tells hundredths of a MiB.
      expect(Math.abs(whole.weightsBytes - away - weightsBytes)).toBeLessThan(0.02 * 2 ** 20)
    }
    expect(differences.filter((line) => line.includes('not as planned'))).toEqual([])
  } finally {
    await worker.close()
  }
}, 120_000)
