import { describe, expect, it } from 'vitest'
import { findFamous, type PlanModel, type PlanTask, parseGpuList, workOut } from '../placement/index.ts'
import { createPlanThread } from './plan-thread.ts'

function famous(name: string): PlanModel {
  const model = findFamous(name)
  if (!model) throw new Error(`nobody knows ${name}`)
  return model
}

const corrections = { weights: 1, kvCache: 1, compute: 1.5 }
const wishes = { contextLength: 4096 }
const small: PlanTask = {
  requests: [{ model: famous('llama3.1:8b'), wishes, corrections }],
  inventory: parseGpuList('2x3090'),
  together: false,
}
const large: PlanTask = { ...small, inventory: parseGpuList('8x3090 / 8x3090 / 4x4090') }
const several: PlanTask = {
  requests: [...small.requests, { model: famous('qwen3:4b'), wishes }],
  inventory: parseGpuList('3090'),
  together: true,
}

describe('plans made beside the requests', () => {
  it.each([
    ['small', small],
    ['large', large],
    ['several', several],
  ])('are the same as made here: %s', async (_what, task) => {
    expect(await createPlanThread()(task)).toEqual(workOut(task))
  })

  it('leave the thread that answers requests free while they are made', async () => {
    const gpus = new Array<string>(40).fill('4x3090,2x4090,2xrx 7900 xtx').join(' / ')
    const requests = [{ model: famous('llama3.1:70b'), wishes: {} }]
    let ticks = 0
    const ticking = setInterval(() => ticks++, 1)
    const used = process.threadCpuUsage()
    await createPlanThread()({ requests, inventory: parseGpuList(gpus), together: false })
    const { user, system } = process.threadCpuUsage(used)
    clearInterval(ticking)
    // What is left to this thread is to copy what is asked and answered.
    expect([ticks > 10, (user + system) / 1000 < 200]).toEqual([true, true])
  })

  it('are refused for the same reasons', async () => {
    const wrong = { ...large, requests: [{ model: famous('llama3.1:8b'), wishes: { kvCacheType: 'q9_9' } }] }
    const why = (() => {
      try {
        return workOut(wrong)
      } catch (error) {
        return error
      }
    })()
    await expect(createPlanThread()(wrong)).rejects.toEqual(why)
  })

  it('wait for each other, and not more than may', async () => {
    const plan = createPlanThread({ mostWaiting: 1 })
    const asked = await Promise.allSettled(Array.from({ length: 3 }, () => plan(several)))
    const refused = asked.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(refused).toMatchObject([{ code: 'busy', retryAfterMs: 2000 }])
    expect((await plan(several)).models).toHaveLength(2)
  })
})
