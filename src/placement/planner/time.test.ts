import { describe, expect, it } from 'vitest'
import { parseGpuList } from '../inventory/index.ts'
import { famousModel } from './famous-models.ts'
import { planModel } from './plan.ts'

/** Milliseconds of the processor: what else runs on the machine does not count. */
function bestMs(tries: number, run: () => void): number {
  const times = Array.from({ length: tries }, () => {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    return (user + system) / 1000
  })
  return Math.min(...times)
}

const nodes = (count: number, node: string) => new Array<string>(count).fill(node).join(' / ')

describe('planning takes no longer than a request may wait for it', () => {
  it('64 GPUs and 126 layers: under 50 ms', () => {
    const model = famousModel('llama3.1:405b')
    const inventory = parseGpuList(`${nodes(8, '8x3090')} @10gbe`)
    expect(bestMs(5, () => planModel(model, inventory, {}))).toBeLessThan(50)
  })

  it('1,000 devices in boxes of eight: under a second, divided or not', () => {
    const inventory = parseGpuList(nodes(125, '8x3090'))
    for (const name of ['llama3.1:8b', 'llama3.1:70b', 'llama3.1:405b'] as const) {
      expect(bestMs(2, () => planModel(famousModel(name), inventory, {}))).toBeLessThan(1000)
    }
  })

  it('1,000 machines of one card: under a second', () => {
    const inventory = parseGpuList(nodes(1000, '3090'))
    expect(bestMs(2, () => planModel(famousModel('llama3.1:70b'), inventory, {}))).toBeLessThan(1000)
  })

  it('125 boxes of which many are unlike: under two seconds', () => {
    const inventory = parseGpuList(nodes(125, '4x3090,2x4090,2xrx 7900 xtx'))
    const unlike = {
      ...inventory,
      devices: inventory.devices.map((device, at) => ({
        ...device,
        usableBytes: device.usableBytes - at * 1e5,
      })),
    }
    expect(bestMs(1, () => planModel(famousModel('llama3.1:70b'), unlike, {}))).toBeLessThan(2000)
  })
})
