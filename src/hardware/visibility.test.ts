import { describe, expect, it } from 'vitest'
import { hiddenBy, visibilityOf } from './visibility.ts'

const uuid = 'GPU-5eed0003-d40e-4a60-8b1d-0000a600004b'

describe('what a child sees', () => {
  it("is its NVIDIA card by UUID, and no other vendor's", () => {
    expect(visibilityOf([{ vendor: 'nvidia', uuid, index: 3 }])).toEqual({
      CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
      CUDA_VISIBLE_DEVICES: uuid,
      ROCR_VISIBLE_DEVICES: '-1',
      HIP_VISIBLE_DEVICES: '-1',
      ONEAPI_DEVICE_SELECTOR: '!level_zero:*',
      GGML_VK_VISIBLE_DEVICES: '-1',
    })
  })

  it('is its AMD cards by what ROCr calls them, numbered anew for HIP', () => {
    const env = visibilityOf([
      { vendor: 'amd', uuid: '0x5C88007DD6FD', index: 1 },
      { vendor: 'amd', index: 2 },
    ])
    expect(env['ROCR_VISIBLE_DEVICES']).toBe('GPU-00005c88007dd6fd,2')
    expect(env['HIP_VISIBLE_DEVICES']).toBe('0,1')
    expect(env['CUDA_VISIBLE_DEVICES']).toBe('-1')
  })

  it("is its Intel cards by Level Zero's numbers, with their memory readable", () => {
    expect(visibilityOf([{ vendor: 'intel', index: 1 }])).toMatchObject({
      ONEAPI_DEVICE_SELECTOR: 'level_zero:1',
      ZES_ENABLE_SYSMAN: '1',
    })
  })

  it('is a card of Vulkan by its number there', () => {
    expect(visibilityOf([{ vendor: 'other', vulkanIndex: 2 }])['GGML_VK_VISIBLE_DEVICES']).toBe('2')
  })

  it('is nothing at all on the CPU', () => {
    expect(new Set(Object.values(visibilityOf([])))).toEqual(new Set(['PCI_BUS_ID', '-1', '!level_zero:*']))
  })
})

describe('a card is hidden', () => {
  const card = { vendor: 'nvidia', uuid, pciAddress: '0000:4b:00.0', index: 3 } as const

  it('by a list that leaves out its number or its UUID', () => {
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: '0,1' })).toBe('CUDA_VISIBLE_DEVICES=0,1')
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: '0,3' })).toBeUndefined()
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: 'GPU-5eed0003' })).toBeUndefined()
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: 'GPU-5eed0004' })).toBeDefined()
    expect(hiddenBy(card, 3, { NVIDIA_VISIBLE_DEVICES: 'all' })).toBeUndefined()
    expect(hiddenBy(card, 3, { NVIDIA_VISIBLE_DEVICES: 'none' })).toBeDefined()
    expect(hiddenBy(card, 3, {})).toBeUndefined()
  })

  it('by what follows an entry that ends the list', () => {
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: '0,-1,3' })).toBeDefined()
    expect(hiddenBy(card, 3, { CUDA_VISIBLE_DEVICES: '-1' })).toBe('CUDA_VISIBLE_DEVICES=-1')
  })

  it("not by a variable that means NVIDIA cards, where it is AMD's", () => {
    const amd = { vendor: 'amd', uuid: '0x5c88007dd6fd' } as const
    expect(hiddenBy(amd, 0, { CUDA_VISIBLE_DEVICES: uuid })).toBeUndefined()
    expect(hiddenBy(amd, 0, { ROCR_VISIBLE_DEVICES: 'GPU-5c88007dd6fd' })).toBeUndefined()
    expect(hiddenBy(amd, 0, { ROCR_VISIBLE_DEVICES: '1' })).toBeDefined()
  })
})
