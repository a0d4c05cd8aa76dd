import { startDrover, descendants } from './support/drover.ts'
import { specOf } from './support/engine-contract/bench.ts'
import { answerOf, never } from './support/llama-bench.ts'
import { openOllamaBench } from './support/ollama.ts'
const bench = await openOllamaBench()
await bench.add('tiny', '/work/main/assets/drover-tiny.gguf')
const drover = await startDrover({ env: { DROVER_ENGINE: 'embedded' } })
const attached = bench.engine({ attachUrls: [drover.url] })
const spec = specOf('/work/main/assets/drover-tiny.gguf', { modelName: 'drover' , slots: 1})
const state = async () => { (globalThis as any).gc?.(); return { heapMb: process.memoryUsage().heapUsed / 1e6, handles: process.getActiveResourcesInfo().length, below: (await descendants(process.pid)).length } }
let t = performance.now()
for (let i = 0; i < 200; i++) {
  const instance = await attached.launch(spec, never)
  if (i % 20 === 0) await answerOf(instance, { maxTokens: 4 })
  await instance.close()
  if (i === 10 || i === 199) console.log(i, await state(), performance.now() - t)
}
const own = bench.engine({ firstPort: 21700 })
for (let i = 0; i < 12; i++) {
  const instance = await own.launch({ ...spec, modelName: 'tiny' }, never)
  process.kill(instance.pid, 'SIGKILL')
  const killed = performance.now()
  await instance.exited
  if (i === 1 || i === 11) console.log('spawned', i, await state(), 'noticed ms', performance.now() - killed)
}
// tokens/s through the engine against curl-like raw
const inst = await attached.launch(spec, never)
t = performance.now(); let n = 0
for (let i = 0; i < 10; i++) { n += (await answerOf(inst, { maxTokens: 200, prompt: 'the sheep' })).done.usage.outputTokens }
console.log('tokens/s', n / (performance.now() - t) * 1000)
await inst.close()
await drover.stop(); await bench.remove()
console.log('end', await state(), process.getActiveResourcesInfo())
